"""What the photos of a scan are like: sizes, modes, copies, small classes, names, and the fit that loses least."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcn_cli.data.similar.leaks import tied_files
from pcn_cli.records.photos import Fit, Health, Photo, Scan, Spread

FEW_PHOTOS = 10  # of a class: less is hardly enough to start
MOST_CUT = 1.55  # long side over short side: what cameras make (4:3, 3:2) may be cut to a square
MOST_SQUASHED = 2.0
ONE_SHAPE = 1.15  # wide photos over narrow ones, tenth from either end: a difference that nobody sees
FLIPPED_SHARE = 0.05  # of all file names

_SIDES = frozenset({"left", "right", "lefthand", "righthand", "clockwise", "counterclockwise", "anticlockwise"})
_WRITTEN = frozenset({"digit", "digits", "letter", "letters", "text", "arrow", "arrows", "clock", "sign", "signs"})


def examine_photos(scan: Scan) -> Health | None:
    """What the photos are like; None where there are none."""
    if not scan.photos:
        return None
    widths, heights = (np.array([getattr(photo, side) for photo in scan.photos]) for side in ("width", "height"))
    fit, reason = _recommend_fit(widths / heights)
    modes = Counter(photo.mode for photo in scan.photos)
    counts = scan.classes
    return Health(
        widths=_spread(widths),
        heights=_spread(heights),
        aspects=_spread(widths / heights),
        modes=dict(modes.most_common()),
        exact_duplicates=tuple(files for kind, files in tied_files(scan.photos, ()) if kind == "exact"),
        imbalance=max(counts.values(), default=1) / min(counts.values(), default=1),
        small_classes=tuple(name for name, count in counts.items() if count < FEW_PHOTOS),
        against_flipping=find_words_against_flipping(scan.photos, classes=list(counts)),
        fit=fit,
        fit_reason=reason,
    )


def find_words_against_flipping(photos: Sequence[Photo], *, classes: Sequence[str]) -> tuple[str, ...]:
    """Words that tell left from right, or name something written, in class names or in many file names."""
    words = {word for name in classes for word in _words(name)}
    found = words & (_SIDES | _WRITTEN)
    # One digit or letter as a whole name is what the photo shows; longer numbers are often mere identifiers.
    found |= {name for name in classes if re.fullmatch(r"[0-9]|[A-Za-z]", name)} if len(classes) > 1 else set()
    sided = Counter(word for photo in photos for word in _words(photo.file.rpartition("/")[2]) & _SIDES)
    found |= {word for word, count in sided.items() if count >= FLIPPED_SHARE * len(photos)}
    return tuple(sorted(found))


def _words(name: str) -> set[str]:
    """The words of a name in lower case: handLeft_07 is hand, left."""
    return {word.casefold() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def _recommend_fit(aspects: NDArray[np.float64]) -> tuple[Fit, str]:
    """How photos of these shapes (width over height) should become a square, with the reason."""
    long = float(np.quantile(np.maximum(aspects, 1 / aspects), 0.9))
    narrow, wide = np.quantile(aspects, [0.1, 0.9])
    if long <= MOST_CUT:
        return "crop", f"nine in ten photos are at most {long:.2f} times as long as wide; little is cut off"
    if wide / narrow <= ONE_SHAPE and long <= MOST_SQUASHED:
        return "squash", f"nearly all photos have one shape, {narrow:.2f} to {wide:.2f} wide over high; nothing is lost"
    return "pad", f"one photo in ten is {long:.1f} times as long as wide or more; a cut would lose what lies outside"


def _spread(values: NDArray[Any]) -> Spread:
    least, median, most = (float(value) for value in np.quantile(values, [0, 0.5, 1]))
    return Spread(least=least, median=median, most=most)
