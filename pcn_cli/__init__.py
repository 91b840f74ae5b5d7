"""pcn: turn a folder of photos into a classifier one can look inside.

Importing this package loads nothing heavy; `finetune`, `predict` and `load_model` arrive when first named.
"""

import logging
import os
from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "finetune", "load_model", "predict"]

# albumentations asks a server for its newest version when imported, unless told not to.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

# A library speaks only through the handlers of whoever uses it; without one, Python itself would print warnings.
logging.getLogger("pcn_cli").addHandler(logging.NullHandler())

_LAZY = {
    "finetune": "pcn_cli.stages.finetune",
    "predict": "pcn_cli.stages.predict",
    "load_model": "pcn_cli.stages.inference.load",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - module attributes have any type
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
