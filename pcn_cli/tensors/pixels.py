"""Pixels made into a network's input: the one place where they are normalised, on the device that computes.

Photos travel as 8-bit pixels, a quarter of the memory of the input that is made of them.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor


class Norm(NamedTuple):
    """What is taken from the red, green and blue of a pixel, as shares of 255, and what the rest is divided by."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def normalise(pixels: Tensor, norm: Norm, windows: Tensor | None = None) -> Tensor:
    """(value / 255 - mean) / std of pixels (B, 3, H, W) uint8, as float32 in channels-last memory.

    Outside of the `windows` (B, 4), each the left, top, right and bottom of what its photo fills, stands 0, the mean
    colour. The same three float32 operations in the same order as torchvision's, on whatever device the pixels are.
    """
    count, _, height, width = pixels.shape
    # Rows of W · 3 numbers: with three in a row a processor would not compute many at once.
    result = pixels.permute(0, 2, 3, 1).reshape(count * height, width * 3).float()
    # torch's thread that pins a batch may have made lists of the tuples in it, which cannot be looked up.
    whole, mean, std = _rows(tuple(norm.mean), tuple(norm.std), width, pixels.device)
    # By tensors: some devices multiply by the inverse of a plain number, which rounds otherwise.
    images = result.div_(whole).sub_(mean).div_(std).view(count, height, width, 3).permute(0, 3, 1, 2)
    return images if windows is None else images.masked_fill_(~_inside(windows, height, width), 0.0)


@lru_cache(maxsize=32)
def _rows(
    mean: tuple[float, ...], std: tuple[float, ...], width: int, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """255, mean and std for each number of a row, (W · 3,); kept, since bringing them to a GPU would wait for it."""
    with torch.inference_mode(False):
        rows = [torch.tensor(one, dtype=torch.float32).repeat(width).to(device) for one in ((255.0,) * 3, mean, std)]
    return rows[0], rows[1], rows[2]


def _inside(windows: Tensor, height: int, width: int) -> Tensor:
    """Where the windows lie, (B, 1, H, W)."""
    left, top, right, bottom = windows[:, :, None].unbind(1)  # (B, 1) each
    columns, rows = (torch.arange(size, device=windows.device)[None] for size in (width, height))
    across, down = (columns >= left) & (columns < right), (rows >= top) & (rows < bottom)
    return (down[:, :, None] & across[:, None, :])[:, None]
