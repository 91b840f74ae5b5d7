"""What can be said of any photo without knowing what is on it: light, colour, sharpness and shape."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from pcn_cli.errors import PcnError

_SIDE = 256  # pixels of the longer side that are looked at; sharpness of larger ones hangs on noise


def measure_looks(paths: Iterable[Path], open_photo: Callable[[Path], Image.Image]) -> dict[str, list[float]]:
    """By name a value for each photo that can be opened: its light, colour, sharpness and shape."""
    rows = [look for path in paths if (look := _measure(path, open_photo)) is not None]
    names = ("brightness", "contrast", "saturation", "sharpness", "width / height")
    return {name: [row[place] for row in rows] for place, name in enumerate(names)}


def measure_brightness(path: Path, open_photo: Callable[[Path], Image.Image]) -> float | None:
    """How bright the photo is, from 0 to 1, None where it cannot be opened; a small picture of it will do."""
    try:
        with open_photo(path) as photo:
            return float(np.asarray(photo.convert("RGB")).mean()) / 255
    except (PcnError, OSError):
        return None


def _measure(path: Path, open_photo: Callable[[Path], Image.Image]) -> tuple[float, ...] | None:
    try:
        with open_photo(path) as photo:
            shape = photo.width / photo.height
            small = photo.convert("RGB")
            small.thumbnail((_SIDE, _SIDE))
    except (PcnError, OSError):
        return None
    pixels = np.asarray(small, dtype=np.float32) / 255
    grey = pixels.mean(axis=2)
    spread = pixels.max(axis=2) - pixels.min(axis=2)
    edges = np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean() if min(grey.shape) > 1 else 0.0
    return float(grey.mean()), float(grey.std()), float(spread.mean()), float(edges), shape
