"""Where a map points, and how much of it lies on the object, where the object's boxes are known.

Energy-in-box is the energy-based pointing game of Wang et al. 2020, arXiv:1910.01279, on the picture as it was seen.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pcn_cli.attention.geometry import display_size, map_to_photo, patch_centers, seen_mask
from pcn_cli.records.model import PatchGrid, Placement
from pcn_cli.records.photos import Box

_LONGEST = 128  # pixels of the picture on which the energy is added up
_SPREAD = 0.25  # of the blob in the middle, as a share of each side


def find_peak(values: NDArray[np.floating], *, patch_grid: PatchGrid, placement: Placement) -> tuple[float, float]:
    """The centre of the strongest patch in pixels of the photo, moved to its edge where it lies in padding."""
    x, y = patch_centers((values.shape[0], values.shape[1]), patch_grid=patch_grid, placement=placement)
    row, column = divmod(int(values.argmax()), values.shape[1])
    return float(np.clip(x[column], 0, placement.width)), float(np.clip(y[row], 0, placement.height))


def energy_in_boxes(
    values: NDArray[np.floating], boxes: Sequence[Box], *, patch_grid: PatchGrid, placement: Placement
) -> float:
    """The share of the map's positive part that lies in the boxes; 0 where nothing of what was seen is positive."""
    size = display_size(placement, longest=_LONGEST)
    laid = map_to_photo(np.maximum(values, 0), patch_grid=patch_grid, placement=placement, size=size)
    return _share(laid.values, laid.seen, boxes)


def even_energy(boxes: Sequence[Box], placement: Placement) -> float:
    """The energy in the boxes of a map that is even: their share of what was seen."""
    seen = seen_mask(placement, size=display_size(placement, longest=_LONGEST))
    return _share(np.ones(seen.shape), seen, boxes)


def middle_energy(boxes: Sequence[Box], placement: Placement) -> float:
    """The energy in the boxes of a round blob in the middle of the photo, whatever it shows."""
    seen = seen_mask(placement, size=display_size(placement, longest=_LONGEST))
    down, across = (((np.arange(count) + 0.5) / count - 0.5) / _SPREAD for count in seen.shape)
    return _share(np.exp(-(down[:, None] ** 2 + across[None, :] ** 2) / 2), seen, boxes)


def _share(laid: NDArray[np.floating], seen: NDArray[np.bool_], boxes: Sequence[Box]) -> float:
    """The share of what was seen that pixels hold whose centre lies in a box."""
    inside = np.zeros(seen.shape, dtype=bool)
    for box in boxes:
        y = (np.arange(seen.shape[0]) + 0.5) * box.height / seen.shape[0]
        x = (np.arange(seen.shape[1]) + 0.5) * box.width / seen.shape[1]
        inside |= ((y >= box.ymin) & (y <= box.ymax + 1))[:, None] & ((x >= box.xmin) & (x <= box.xmax + 1))[None, :]
    values = np.asarray(laid, dtype=np.float64) * seen
    total = values.sum()
    return float((values * inside).sum() / total) if total > 0 else 0.0
