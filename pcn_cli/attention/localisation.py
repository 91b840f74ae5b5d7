"""Where a map points, and how much of it lies on the object, where the object's boxes or its mask are known.

Energy-in-box is the energy-based pointing game of Wang et al. 2020, arXiv:1910.01279, on the picture as it was seen.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pcn_cli.attention.geometry import PhotoMap, display_size, map_to_photo, patch_centers, seen_mask
from pcn_cli.records.model import PatchGrid, Placement
from pcn_cli.records.photos import Box

_LONGEST = 128  # pixels of the picture on which the energy is added up
_SPREAD = 0.25  # of the blob in the middle, as a share of each side


def find_peak(values: NDArray[np.floating], *, patch_grid: PatchGrid, placement: Placement) -> tuple[float, float]:
    """The centre of the strongest patch in pixels of the photo, moved to its edge where it lies in padding."""
    x, y = patch_centers((values.shape[0], values.shape[1]), patch_grid=patch_grid, placement=placement)
    row, column = divmod(int(values.argmax()), values.shape[1])
    return keep_within(x[column], placement.width), keep_within(y[row], placement.height)


def keep_within(place: float, end: float) -> float:
    """The place moved into [0, end]."""
    return float(min(max(place, 0), end))  # numpy's clip takes ten times as long for a single number


def energy_in_boxes(
    values: NDArray[np.floating], boxes: Sequence[Box], *, patch_grid: PatchGrid, placement: Placement
) -> float:
    """The share of the map's positive part that lies in the boxes; 0 where nothing of what was seen is positive."""
    laid = _lay(values, patch_grid, placement)
    return _share(laid.values, laid.seen, _inside(boxes, laid.seen.shape))


def even_energy(boxes: Sequence[Box], placement: Placement) -> float:
    """The energy in the boxes of a map that is even: their share of what was seen."""
    seen = seen_mask(placement, size=display_size(placement, longest=_LONGEST))
    return _share(np.ones(seen.shape), seen, _inside(boxes, seen.shape))


def middle_energy(boxes: Sequence[Box], placement: Placement) -> float:
    """The energy in the boxes of a round blob in the middle of the photo, whatever it shows."""
    seen = seen_mask(placement, size=display_size(placement, longest=_LONGEST))
    return _share(_blob(seen.shape), seen, _inside(boxes, seen.shape))


class OnMask(NamedTuple):
    """What of a map lies on an object: its energy there, and the best overlap of what is above any threshold."""

    energy: float
    overlap: float


def map_on_mask(
    values: NDArray[np.floating], mask: NDArray[np.bool_], *, patch_grid: PatchGrid, placement: Placement
) -> OnMask:
    """How well the positive part of the map (h, w) finds the mask (H, W) of the upright photo."""
    laid = _lay(values, patch_grid, placement)
    return _on_mask(laid.values, laid.seen, mask)


def even_on_mask(mask: NDArray[np.bool_], placement: Placement) -> OnMask:
    """What a map reaches that is even: the mask's share of what was seen, twice."""
    seen = seen_mask(placement, size=display_size(placement, longest=_LONGEST))
    return _on_mask(np.ones(seen.shape), seen, mask)


def middle_on_mask(mask: NDArray[np.bool_], placement: Placement) -> OnMask:
    """What a round blob in the middle of the photo reaches, whatever it shows."""
    seen = seen_mask(placement, size=display_size(placement, longest=_LONGEST))
    return _on_mask(_blob(seen.shape), seen, mask)


def hits_mask(x: float, y: float, mask: NDArray[np.bool_]) -> bool:
    """Whether the point (x, y) of the photo, in its pixels, lies on the mask (H, W)."""
    return bool(mask[min(int(max(y, 0)), mask.shape[0] - 1), min(int(max(x, 0)), mask.shape[1] - 1)])


def _on_mask(laid: NDArray[np.floating], seen: NDArray[np.bool_], mask: NDArray[np.bool_]) -> OnMask:
    rows, columns = (
        ((np.arange(n) + 0.5) * own / n).astype(int) for n, own in zip(seen.shape, mask.shape, strict=True)
    )
    inside = mask[rows[:, None], columns[None, :]] & seen
    values = np.asarray(laid, dtype=np.float64)[seen]
    # From the strongest pixel down: all that are as strong count together.
    order = np.argsort(-values, kind="stable")
    hits, last = np.cumsum(inside[seen][order]), np.append(np.diff(values[order]) != 0, True)
    overlaps = hits / (np.arange(1, hits.size + 1) + inside.sum() - hits)
    return OnMask(_share(laid, seen, inside), float(overlaps[last].max(initial=0.0)))


def _lay(values: NDArray[np.floating], patch_grid: PatchGrid, placement: Placement) -> PhotoMap:
    size = display_size(placement, longest=_LONGEST)
    return map_to_photo(np.maximum(values, 0), patch_grid=patch_grid, placement=placement, size=size)


def _blob(shape: tuple[int, ...]) -> NDArray[np.float64]:
    down, across = (((np.arange(count) + 0.5) / count - 0.5) / _SPREAD for count in shape)
    return np.asarray(np.exp(-(down[:, None] ** 2 + across[None, :] ** 2) / 2))


def _inside(boxes: Sequence[Box], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Which pixels have their centre in a box."""
    inside = np.zeros(shape, dtype=bool)
    for box in boxes:
        y = (np.arange(shape[0]) + 0.5) * box.height / shape[0]
        x = (np.arange(shape[1]) + 0.5) * box.width / shape[1]
        inside |= ((y >= box.ymin) & (y <= box.ymax + 1))[:, None] & ((x >= box.xmin) & (x <= box.xmax + 1))[None, :]
    return inside


def _share(laid: NDArray[np.floating], seen: NDArray[np.bool_], inside: NDArray[np.bool_]) -> float:
    """The share of what was seen that the pixels `inside` hold."""
    values = np.asarray(laid, dtype=np.float64) * seen
    total = values.sum()
    return float((values * inside).sum() / total) if total > 0 else 0.0
