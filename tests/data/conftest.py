"""Drawn photos for the tests of this room."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def draw_photo() -> Callable[..., Path]:
    """A function that draws a small photo at a path, another one for another seed."""

    def draw(path: Path, *, seed: int = 0, width: int = 24, height: int = 16) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path, format="PNG" if path.suffix == ".png" else "JPEG")
        return path

    return draw
