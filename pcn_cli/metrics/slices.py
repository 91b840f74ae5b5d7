"""Are photos of one folder, size, light or column answered worse than others of the same classes?

Each slice is tested exactly, given its classes: were mistakes spread by chance over the photos of each class, how often
would so many lie in it? (Fisher's exact test in each class, added up: the exact Cochran-Mantel-Haenszel test.) All
slices together are corrected by Holm 1979, which holds however they overlap.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from pcn_cli.records.metrics import Finding
from pcn_cli.records.slices import Slice, Slices

Fact = Sequence[str | float | None]
LEVEL = 0.05
FEWEST = 10  # photos of a slice, and of all others
MOST_VALUES = 20  # of a fact that is not a number; with more of them it only names single photos


def measure_slices(wrong: Sequence[bool], labels: Sequence[str], facts: Mapping[str, Fact]) -> Slices:
    """Every slice of photos whose answers are `wrong` (N,) or not, by what is known of them beside their `labels`.

    `facts` holds (N,) values each: texts are taken as they are, numbers in thirds, None where nothing is known.
    """
    missed, classes = np.asarray(wrong, dtype=bool), np.asarray(labels)
    found = [
        _measure(fact, name, own, missed, classes) for fact, values in facts.items() for name, own in _divide(values)
    ]
    found.sort(key=lambda one: (one.p_value, one.fact, one.name))
    adjusted, largest = [], 0.0
    for place, one in enumerate(found):  # Holm
        largest = max(largest, min(1.0, (len(found) - place) * one.p_value))
        adjusted.append(replace(one, adjusted=largest, shown=largest < LEVEL))
    return Slices(level=LEVEL, correction="Holm", slices=tuple(adjusted))


def slice_findings(slices: Slices) -> tuple[Finding, ...]:
    """A note where a kind of photos is answered worse."""
    if not slices.worse:
        return ()
    told = [
        f"{one.fact} {one.name}: {one.wrong:,} of {one.photos:,} wrong, {one.expected:.1f} expected"
        for one in slices.worse[:3]
    ]
    return (
        Finding(
            severity="note",
            title=f"{told[0].partition(':')[0]}: such photos are answered worse than others of the same classes",
            evidence=f"{'; '.join(told)}. Beyond chance, also for {len(slices.slices)} slices looked at"
            f" ({slices.correction}, {100 * slices.level:.0f} %).",
            remedy="Look at them, and add such photos to learn from.",
        ),
    )


def _divide(values: Fact) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """The slices of a fact that have enough photos, as (name, which photos)."""
    known = np.array([value is not None for value in values], dtype=bool)
    if all(isinstance(value, float) for value in values if value is not None):
        parts = _thirds(np.array([np.nan if value is None else float(value) for value in values]))
    else:
        texts = np.array(["" if value is None else str(value) for value in values])
        names = np.unique(texts[known])
        parts = [(str(name), known & (texts == name)) for name in names] if len(names) <= MOST_VALUES else []
    for name, own in parts:
        if FEWEST <= own.sum() <= len(own) - FEWEST:
            yield name, own


def _thirds(numbers: NDArray[np.float64]) -> list[tuple[str, NDArray[np.bool_]]]:
    """The photos with the least, middle and largest numbers; fewer parts where many numbers are the same."""
    known = numbers[np.isfinite(numbers)]
    if not len(known) or known.min() == known.max():
        return []
    low, high = np.quantile(known, (1 / 3, 2 / 3))
    masks = (numbers <= low, (numbers > low) & (numbers <= high), numbers > high)
    said = (f"up to {low:,.4g}", f"{low:,.4g} to {high:,.4g}", f"over {high:,.4g}")
    return list(zip(said, masks, strict=True))


def _measure(
    fact: str, name: str, own: NDArray[np.bool_], wrong: NDArray[np.bool_], classes: NDArray[np.str_]
) -> Slice:
    """The slice of the photos in `own` (N,), not yet corrected for others."""
    expected, chances = 0.0, np.ones(1)
    for label in np.unique(classes[own]):
        of = classes == label
        photos, mistakes, inside = int(of.sum()), int((of & wrong).sum()), int((of & own).sum())
        expected += mistakes * inside / photos
        chances = np.convolve(chances, _hypergeometric(photos, mistakes, inside))
    found = int((own & wrong).sum())
    # Never 0, nor above 1 by rounding.
    p_value = float(np.clip(chances[found:].sum(), np.finfo(float).tiny, 1.0))
    return Slice(
        fact=fact,
        name=name,
        photos=int(own.sum()),
        wrong=found,
        expected=expected,
        p_value=p_value,
        adjusted=1.0,
        shown=False,
    )


def _hypergeometric(photos: int, mistakes: int, inside: int) -> NDArray[np.float64]:
    """The chances of 0, 1, … mistakes among so many photos inside, of all mistakes among all photos."""
    count = np.arange(min(mistakes, inside) + 1)
    ways = _log_choose(mistakes, count) + _log_choose(photos - mistakes, inside - count)
    return np.asarray(np.exp(ways - _log_choose(photos, np.array([inside]))))


def _log_choose(of: int, count: NDArray[np.int64]) -> NDArray[np.float64]:
    possible = (count >= 0) & (count <= of)
    inside = np.where(possible, count, 0)
    ways = gammaln(of + 1) - gammaln(inside + 1) - gammaln(of - inside + 1)
    return np.where(possible, ways, -np.inf)
