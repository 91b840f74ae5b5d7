"""What a scan's photos are like, as far as it bears on training."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Spread:
    """The smallest, the middle and the largest of many values."""

    least: float
    median: float
    most: float


@dataclass(frozen=True, kw_only=True)
class Health:
    """What a folder's photos are like.

    `widths` and `heights` are in pixels, `aspects` width over height; `modes` counts Pillow's modes of the files;
    `exact_duplicates` are sets of files with equal bytes; `imbalance` is the largest class over the smallest;
    `small_classes` have too few photos; `against_flipping` are words of names that a mirrored photo would belie; `fit`
    is recommended for the reason that stands beside it.
    """

    widths: Spread
    heights: Spread
    aspects: Spread
    modes: dict[str, int]
    exact_duplicates: tuple[tuple[str, ...], ...]
    imbalance: float
    small_classes: tuple[str, ...]
    against_flipping: tuple[str, ...]
    fit: Literal["crop", "pad", "squash"]
    fit_reason: str
