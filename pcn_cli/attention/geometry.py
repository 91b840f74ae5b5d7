"""Where a value of the patch grid lies on the original upright picture.

Three systems of continuous coordinates, in each of which pixel i covers [i, i + 1]: the network's input (patches are
centred at offset + stride · index, for the PatchConvNet stem 7.5 px left of and above the middle of their cells), the
original picture (through `Placement.box`), and the display, a smaller picture of the original. Rows and columns are
independent, so that a map of any size is two small matrix products.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pcn_cli.records.model import PatchGrid, Placement

Array = NDArray[np.float64]
DISPLAY_SIDE = 1024


class PhotoMap(NamedTuple):
    """A map on the picture: `values` (H, W) float32, and `seen` (H, W), False where the network never looked."""

    values: NDArray[np.float32]
    seen: NDArray[np.bool_]


def display_size(placement: Placement, *, longest: int = DISPLAY_SIDE) -> tuple[int, int]:
    """(width, height) for showing the picture: its longer side at most `longest`, never enlarged."""
    scale = min(1.0, longest / max(placement.width, placement.height))
    return max(1, round(placement.width * scale)), max(1, round(placement.height * scale))


def patch_centers(grid: tuple[int, int], *, patch_grid: PatchGrid, placement: Placement) -> tuple[Array, Array]:
    """The x of each column (w,) and the y of each row (h,) in pixels of the original; some may lie in padding."""
    left, top, right, bottom = placement.box
    inputs_y = patch_grid.offset + patch_grid.stride * np.arange(grid[0])
    inputs_x = patch_grid.left + patch_grid.stride * np.arange(grid[1])
    return (
        left + inputs_x * (right - left) / placement.input_width,
        top + inputs_y * (bottom - top) / placement.input_height,
    )


def map_to_photo(
    values: NDArray[np.floating],
    *,
    patch_grid: PatchGrid,
    placement: Placement,
    size: tuple[int, int] | None = None,
    smooth: bool = True,
) -> PhotoMap:
    """The values (h, w) of any grid laid on the picture, in `size` (width, height) or else `display_size`.

    Where `smooth`, values are bilinear between the true patch centres and constant beyond the outermost; otherwise each
    pixel has the value of the patch whose centre is nearest. A ValueError where the values are not a grid, or the
    placement's box is empty.
    """
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(f"expected a grid of values (h, w), found shape {values.shape}")
    left, top, right, bottom = placement.box
    if right <= left or bottom <= top:
        raise ValueError(f"the network's input covers nothing of the picture: box {placement.box}")
    x, y = _pixel_centers(placement, size)
    input_x = (x - left) * placement.input_width / (right - left)
    input_y = (y - top) * placement.input_height / (bottom - top)
    # In units of patches, 0 being the first patch's centre.
    columns, rows = (input_x - patch_grid.left) / patch_grid.stride, (input_y - patch_grid.offset) / patch_grid.stride
    across = _axis_weights(columns, values.shape[1], smooth=smooth)  # (W, w)
    down = _axis_weights(rows, values.shape[0], smooth=smooth)  # (H, h)
    return PhotoMap(down @ np.asarray(values, dtype=np.float32) @ across.T, seen_mask(placement, size=size))


def seen_mask(placement: Placement, *, size: tuple[int, int] | None = None) -> NDArray[np.bool_]:
    """Which pixels of the picture (H, W) reached the network: their centre lies inside the box."""
    left, top, right, bottom = placement.box
    x, y = _pixel_centers(placement, size)
    return ((y >= top) & (y <= bottom))[:, None] & ((x >= left) & (x <= right))[None, :]


def whole_input(width: int, height: int) -> Placement:
    """The placement of an input that is itself the picture."""
    return Placement(width=width, height=height, input_width=width, input_height=height, box=(0, 0, width, height))


def mirror_map(values: NDArray[np.floating], *, patch_grid: PatchGrid, width: int) -> NDArray[np.float32]:
    """The map (h, w) as it lies once its input, `width` pixels wide, is mirrored left and right.

    Patches that are not centred in their cells do not change places with each other: values are taken in between.
    """
    centers = patch_grid.left + patch_grid.stride * np.arange(values.shape[1], dtype=np.float64)
    across = _axis_weights((width - centers - patch_grid.left) / patch_grid.stride, values.shape[1], smooth=True)
    return np.asarray(np.matmul(values, across.T, dtype=np.float32))


def mass_threshold(values: NDArray[np.floating], mass: float, *, patch_grid: PatchGrid, placement: Placement) -> float:
    """The value above which the drawn map holds `mass` of its total, over the whole input, padding included."""
    # The input itself as the picture: every part of it counts, whatever the picture shows of it.
    size = (placement.input_width, placement.input_height)
    drawn = map_to_photo(values, patch_grid=patch_grid, placement=whole_input(*size), size=size).values
    falling = np.sort(drawn, axis=None)[::-1]
    held = np.cumsum(falling, dtype=np.float64)
    return float(falling[np.searchsorted(held, mass * held[-1])])


def _pixel_centers(placement: Placement, size: tuple[int, int] | None) -> tuple[Array, Array]:
    """Where the centres of the columns and rows of a picture of this size lie in pixels of the original."""
    width, height = size or display_size(placement)
    return (np.arange(width) + 0.5) * placement.width / width, (np.arange(height) + 0.5) * placement.height / height


def _axis_weights(positions: Array, count: int, *, smooth: bool) -> NDArray[np.float32]:
    """How much of each of `count` patches every position takes, (P, count); rows sum to 1."""
    inside = np.clip(positions, 0, count - 1)
    if not smooth:
        inside = np.floor(inside + 0.5)
    distance = np.abs(inside[:, None] - np.arange(count)[None, :])
    return np.asarray(np.maximum(0, 1 - distance), dtype=np.float32)
