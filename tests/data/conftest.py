"""Drawn photos for the tests of this room."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw


@pytest.fixture
def draw_photo() -> Callable[..., Path]:
    """A function that draws a small photo at a path, another one for another seed."""

    def draw(path: Path, *, seed: int = 0, width: int = 24, height: int = 16) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path, format="PNG" if path.suffix == ".png" else "JPEG")
        return path

    return draw


@pytest.fixture
def draw_scene() -> Callable[..., Image.Image]:
    """A function that draws a picture with structure: a gradient and shapes on it, another one for another seed."""

    def draw(seed: int, *, width: int = 160, height: int = 120, shapes: int = 12) -> Image.Image:
        rng = np.random.default_rng(seed)
        corners = rng.integers(0, 256, (2, 2, 3), dtype=np.uint8)
        scene = Image.fromarray(corners).resize((width, height), Image.Resampling.BILINEAR)
        pen = ImageDraw.Draw(scene)
        for number in range(shapes):
            left, top = rng.uniform(-0.1, 0.9) * width, rng.uniform(-0.1, 0.9) * height
            box = (left, top, left + rng.uniform(0.1, 0.4) * width, top + rng.uniform(0.1, 0.4) * height)
            colour = tuple(map(int, rng.integers(0, 256, 3)))
            (pen.ellipse if number % 2 else pen.rectangle)(box, fill=colour)
        return scene

    return draw
