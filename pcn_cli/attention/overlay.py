"""A map painted on the original upright picture: interpolate the values, then scale, then colour.

The scales are fixed, so that two pictures can be compared: log2 of the lift, clear at ≤ 1×, full at 8× or at what a
whole report needs; evidence is clear at 0, full on both sides at 8 logits over the number of patches. A map that is
nearly even leaves hardly a mark, which is what it has to say.
"""

from functools import cache
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pcn_cli.attention.geometry import PhotoMap, display_size, map_to_photo, mass_threshold
from pcn_cli.attention.maps import lift_strength
from pcn_cli.recipe.schema import Look
from pcn_cli.records.model import PatchGrid, Placement
from pcn_cli.records.predictions import FULL_LIFT

LOOKS: tuple[Look, ...] = get_args(Look)
_MOST_SHRUNK = 400  # pixels each way that became one: more than a picture of this many has to any side
NEARLY_EVEN = 1.15  # times an even spread: a line around half of such a map would promise a place that there is none
FULL_EVIDENCE = 8.0  # logits if every patch were alike, so that grids of any size can be compared
Pixels = NDArray[np.float32]  # (H, W, 3) in 0 … 255


def draw_overlay(
    photo: Image.Image,
    lift: NDArray[np.floating],
    *,
    patch_grid: PatchGrid,
    placement: Placement,
    look: Look = "spotlight",
    full: float = FULL_LIFT,
) -> Image.Image:
    """The photo with its map, as an RGB picture of `display_size`; on what the network never saw the map fades out.

    Args:
        lift: (h, w), n times an even spread.
        look: spotlight (the rest is a third darker, half of the mass inside a fine line), heat, or contour (lines
            around 50 and 80 % of the mass).
        full: the lift drawn in full strength; `maps.full_lift` gives a whole report's.

    Raises:
        ValueError: the photo has another size than the placement says, or the look is unknown.
    """
    pixels = _shrink(photo, placement)
    laid = map_to_photo(lift, patch_grid=patch_grid, placement=placement)
    strength = lift_strength(laid.values * _fall(patch_grid, placement), full=full)
    levels = [mass_threshold(lift, mass, patch_grid=patch_grid, placement=placement) for mass in (0.8, 0.5)]
    if look == "spotlight":  # the photo stays a photo: a person has to know what is on it
        painted = _mix(_dim(pixels, brightness=0.68, color=1.0), pixels, _ease(strength))
        if levels[-1] > NEARLY_EVEN:
            painted = _paint_contours(painted, laid, levels[-1:], width=0.6, opacity=0.6)
    elif look == "heat":  # the colour scale over a muted picture, the more opaque the higher the lift
        muted = _dim(pixels, brightness=0.8, color=0.35)
        painted = _mix(muted, heat_color(0.25 + 0.75 * strength), 0.82 * _ease(strength))
    elif look == "contour":
        painted = _paint_contours(pixels, laid, levels)
    else:
        raise ValueError(f"there is no look {look!r}; there are {', '.join(LOOKS)}")
    return _as_picture(painted)


def draw_evidence(
    photo: Image.Image, evidence: NDArray[np.floating], *, patch_grid: PatchGrid, placement: Placement
) -> Image.Image:
    """The photo with the evidence (h, w) for one class: orange speaks for it, purple against it, clear at 0.

    The other arguments, the result and what is raised are those of `draw_overlay`.
    """
    pixels = _shrink(photo, placement)
    laid = map_to_photo(evidence, patch_grid=patch_grid, placement=placement)
    strength = np.clip(laid.values * evidence.size / FULL_EVIDENCE, -1, 1) * laid.seen
    muted = _dim(pixels, brightness=0.9, color=0.1)
    return _as_picture(_mix(muted, evidence_color(strength), 0.9 * _ease(np.abs(strength))))


def heat_color(strength: NDArray[np.floating]) -> Pixels:
    """The colours (…, 3) in 0 … 255 of strengths in [0, 1]: inferno, which grows evenly in lightness."""
    return _color("inferno", strength)


def evidence_color(strength: NDArray[np.floating]) -> Pixels:
    """The colours (…, 3) in 0 … 255 of strengths in [−1, 1]: orange above 0, purple below, both pale near it."""
    # ColorBrewer's PuOr from its middle to the last step but one: the last is too dark to be told on a photo.
    place = 0.5 - np.where(np.asarray(strength) < 0, -0.4, 0.4) * (0.35 + 0.65 * np.abs(strength))
    return _color("PuOr", place)


def _color(name: str, places: NDArray[np.floating]) -> Pixels:
    """The colours (…, 3) in 0 … 255 of places in [0, 1] on one of matplotlib's scales."""
    steps = _scale(name)  # matplotlib looks up float64 ones with an opacity, which takes three times as long
    return steps.take((places * len(steps)).astype(np.intp), axis=0, mode="clip")


@cache
def _scale(name: str) -> Pixels:
    """The steps (N, 3) of one of matplotlib's scales."""
    import matplotlib as mpl  # a tenth of a second, which a prediction without overlays need not wait for

    scale = mpl.colormaps[name]
    return np.asarray(255 * scale(np.arange(scale.N))[:, :3], dtype=np.float32)


def _shrink(photo: Image.Image, placement: Placement) -> Pixels:
    """The photo as pixels of `display_size`; of a vast one several pixels may have become one."""
    whole = (placement.width, placement.height)
    if all(photo.size != tuple(-(-side // factor) for side in whole) for factor in range(1, _MOST_SHRUNK + 1)):
        raise ValueError(f"the photo is {photo.size}, its placement {(placement.width, placement.height)}")
    size = display_size(placement)
    colours = photo if photo.mode == "RGB" else photo.convert("RGB")  # which would copy it
    shown = colours.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    return np.asarray(shown, dtype=np.float32)


def _as_picture(painted: Pixels) -> Image.Image:
    return Image.fromarray(np.clip(painted + 0.5, 0, 255).astype(np.uint8))


def _fall(patch_grid: PatchGrid, placement: Placement) -> NDArray[np.floating]:
    """How much of the map each pixel (H, W) carries: all where the network saw it, none from half a patch beyond."""
    left, top, right, bottom = placement.box
    width, height = display_size(placement)
    across, down = (
        (np.arange(width) + 0.5) * placement.width / width,
        (np.arange(height) + 0.5) * placement.height / height,
    )
    away_x, away_y = np.maximum(left - across, across - right), np.maximum(top - down, down - bottom)
    soft_x = patch_grid.stride * (right - left) / placement.input_width / 2
    soft_y = patch_grid.stride * (bottom - top) / placement.input_height / 2
    fall_x, fall_y = (1 - np.maximum(away, 0) / soft for away, soft in ((away_x, soft_x), (away_y, soft_y)))
    return np.asarray(np.maximum(fall_y, 0)[:, None] * np.maximum(fall_x, 0)[None, :])


def _paint_contours(
    pixels: Pixels, laid: PhotoMap, levels: list[float], *, width: float = 1.0, opacity: float = 1.0
) -> Pixels:
    """White lines around the given levels, the last one strongest, each with a dark rim that shows on any ground."""
    width, painted = width * max(1.5, max(pixels.shape[:2]) / 280), pixels
    for number, level in enumerate(levels, start=1):
        own = width * number / len(levels)
        rim = _line(laid.values, level, own + max(1.5, width)) * laid.seen
        painted = _mix(painted, np.full_like(pixels, 12.0), 0.55 * opacity * rim)
        painted = _mix(painted, np.full_like(pixels, 255.0), opacity * _line(laid.values, level, own) * laid.seen)
    return painted


def _line(values: NDArray[np.floating], level: float, width: float) -> NDArray[np.floating]:
    """How much of each pixel a line of `width` pixels around the parts above `level` covers, 0 … 1."""
    down, across = np.gradient(values)
    slope = np.hypot(down, across)
    # Distance to the line = difference over slope; a plateau has no line, whatever its height.
    flat = slope <= 1e-6 * max(1e-30, float(np.abs(values).max()))
    distance = np.abs(values - level) / np.where(flat, 1.0, slope)
    return np.asarray(np.where(flat, 0.0, np.clip(width / 2 + 0.5 - distance, 0, 1)))


def _dim(pixels: Pixels, *, brightness: float, color: float) -> Pixels:
    """The picture with `brightness` times its light and `color` times its colour."""
    grey = (pixels @ np.array([0.299, 0.587, 0.114], dtype=np.float32))[..., None]
    return np.asarray((grey + (pixels - grey) * color) * brightness, dtype=np.float32)


def _mix(under: Pixels, over: Pixels, alpha: NDArray[np.floating]) -> Pixels:
    """`over` laid on `under`, as opaque as `alpha` (H, W) says."""
    return np.asarray(under + (over - under) * np.asarray(alpha, dtype=np.float32)[..., None])


def _ease(strength: NDArray[np.floating]) -> NDArray[np.floating]:
    """Strengths in the same order with soft shoulders, so that no edge shows where the scale begins."""
    return np.asarray(strength * (2 - strength))
