"""What made a run: versions, machine, command."""

import platform
import re
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pcn_cli import __version__

_LIBRARIES = ("torch", "torchvision", "timm", "albumentations", "scikit-learn", "numpy", "pillow", "safetensors")
_USERINFO = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^/?#\s]*@")


def versions() -> dict[str, str]:
    """The versions of everything that can change a number."""
    found = {"pcn": __version__, "python": platform.python_version(), "platform": platform.platform(terse=True)}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            found[library] = "not installed"
    return found


def command_line() -> tuple[str, ...]:
    """The words that started this process, the program by its name alone, names and passwords in addresses masked."""
    name = Path(sys.argv[0]).name.replace("__main__.py", "pcn")  # python -m pcn_cli
    return (name, *(mask_userinfo(word) for word in sys.argv[1:]))


def mask_userinfo(text: str) -> str:
    """`text` with `***` for whatever stands before the @ of an address, as in https://user:password@host."""
    return _USERINFO.sub(r"\1***@", text)


def now() -> str:
    """The present time in UTC, to the second, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")
