"""From pooling weights to maps, and from a map to the numbers beside it.

Patches are j = 1 … N with weights a_j; the class token's own a_0 stands first where there is one (one token for all
classes) and is absent where every class has a token. Numbers are float64 throughout.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from pcn_cli.attention.geometry import patch_centers
from pcn_cli.attention.localisation import find_peak, keep_within
from pcn_cli.records.model import PatchGrid, Placement
from pcn_cli.records.predictions import FULL_LIFT, AttentionNumbers

Array = NDArray[np.float64]

CLEAR_LIFT = 1.0  # an even spread: nothing to see


def look_maps(weights: NDArray[np.floating], grid: tuple[int, int]) -> Array:
    """Look a_j / (1 − a_0): where the pooling took its information; every map is ≥ 0 and sums to 1.

    Where the class token kept everything for itself (image share 0) there is no map, and the even spread comes back.
    The weights are (…, N+1) with the class token first, or (…, N), the maps (…, h, w). A ValueError where the weights
    do not fit the grid, are negative or not finite.
    """
    patches = _patch_weights(weights, grid)
    # The sum of the a_j rather than 1 − a_0: the same number without the cancellation.
    total = patches.sum(axis=-1, keepdims=True)
    even = np.full_like(patches, 1 / patches.shape[-1])
    return np.asarray(np.divide(patches, total, out=even, where=total > 0).reshape(*patches.shape[:-1], *grid))


def image_shares(weights: NDArray[np.floating], grid: tuple[int, int]) -> Array:
    """Image share 1 − a_0: how much of the decision came from the picture rather than the class token, (…)."""
    return np.asarray(np.clip(_patch_weights(weights, grid).sum(axis=-1), 0, 1))


def lift_maps(look: Array) -> Array:
    """Lift N · a_j / (1 − a_0): n times an even spread; comparable across pictures and sizes, (…, h, w)."""
    return np.asarray(look * (look.shape[-2] * look.shape[-1]))


def choose_weights(weights: NDArray[np.floating], classes: Sequence[int]) -> NDArray[np.floating]:
    """The weights that belong to one class per picture: its own token's (class look), or the only ones there are.

    From (B, 1, N+1) to (B, N+1), or from (B, K, N) to (B, N).
    """
    if weights.shape[1] == 1:
        return weights[:, 0]
    return weights[np.arange(len(weights)), np.asarray(classes, dtype=np.int64)]


def full_lift(lifts: Iterable[NDArray[np.floating]]) -> float:
    """The lift that is drawn in full colour over a whole report: max(8×, the 99.5th percentile of all patches)."""
    values = [np.ravel(lift) for lift in lifts]
    return max(FULL_LIFT, float(np.percentile(np.concatenate(values), 99.5))) if values else FULL_LIFT


def lift_strength(lift: NDArray[np.floating], *, full: float = FULL_LIFT) -> Array:
    """How strongly a lift is drawn: log2 scale, 0 at ≤ 1×, 1 at ≥ `full`."""
    if full <= CLEAR_LIFT:
        raise ValueError(f"full colour must lie above an even spread (1×), found {full}×")
    return np.asarray(np.clip(np.log2(np.maximum(lift, CLEAR_LIFT)) / np.log2(full), 0, 1))


def attention_numbers(
    look: NDArray[np.floating], image_share: float, *, patch_grid: PatchGrid, placement: Placement
) -> AttentionNumbers:
    """The numbers of one map.

    `effective_patches` is e^H of the look (1: one patch, N: all alike); `gini` is 0 for an even map and (N − 1) / N for
    one patch; `mass50` and `mass80` are the smallest share of patches that holds 50 and 80 % of the look;
    `border_share` is what the outer ring holds over its even share; `peak` is the centre of the strongest patch and
    `center` the mean place, both in pixels of the original upright picture, moved to its edge where they lie
    in padding.
    """
    exact: Array = np.asarray(look, dtype=np.float64)
    x, y = patch_centers((exact.shape[0], exact.shape[1]), patch_grid=patch_grid, placement=placement)
    peak_x, peak_y = find_peak(exact, patch_grid=patch_grid, placement=placement)
    held, inside = exact[exact > 0], exact[1:-1, 1:-1]
    return AttentionNumbers(
        image_share=float(image_share),
        effective_patches=float(np.exp(-(held * np.log(held)).sum())),
        gini=gini(exact),
        mass50=mass_fraction(exact, 0.5),
        mass80=mass_fraction(exact, 0.8),
        border_share=float((exact.sum() - inside.sum()) / (1 - inside.size / exact.size)),
        peak_x=peak_x,
        peak_y=peak_y,
        center_x=keep_within(exact.sum(axis=0) @ x, placement.width),
        center_y=keep_within(exact.sum(axis=1) @ y, placement.height),
    )


def gini(look: Array) -> float:
    """Gini coefficient of the patches: 0 all alike, (N − 1) / N all in one."""
    values = np.sort(look, axis=None)
    ranks = np.arange(1, values.size + 1)
    return max(0.0, float(((2 * ranks - values.size - 1) * values).sum() / (values.size * values.sum())))


def mass_fraction(look: Array, mass: float) -> float:
    """The smallest share of patches that together hold `mass` of the look."""
    held = np.cumsum(np.sort(look, axis=None)[::-1]) / look.sum()
    # A hair of tolerance: four patches of 0.25 hold half with two, whatever the rounding.
    return float((np.searchsorted(held, mass - 1e-9) + 1) / look.size)


def _patch_weights(weights: NDArray[np.floating], grid: tuple[int, int]) -> Array:
    """The a_j without the class token's own weight, (…, N)."""
    count = grid[0] * grid[1]
    if count < 1 or weights.shape[-1] not in (count, count + 1):
        raise ValueError(f"{weights.shape[-1]} weights do not fit a grid of {grid[0]} × {grid[1]} patches")
    patches = np.asarray(weights[..., -count:], dtype=np.float64)
    if not (patches.min(initial=0) >= 0 and patches.max(initial=0) < np.inf):  # nor with NaN
        raise ValueError("pooling weights must be finite and ≥ 0")
    return patches
