"""The stand-in network lives in a plain module, so that a process of its own can load it too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
