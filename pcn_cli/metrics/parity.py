"""Whether two programs give the same answers: the gate of every export.

Answers may differ where they are ties: within the tolerance of the probabilities, another rounding decides.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from pcn_cli.records.model import ModelConfig

TOLERANCE = 1e-3  # of a probability
LEAST_CORRELATION = 0.999  # of two maps of one photo, Spearman's
UNLIKE = 1e-2  # of a distance from what was learned, which is 1 at its bound
LEVEL = 1e-3  # of its mean: what a map that is everywhere alike may vary by, which is rounding


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What one program says of n photos.

    `probabilities` (n, K); `decisions` (n,), a class's number or −1, or with several labels (n, K) of 0 and 1; `maps`
    (n, h, w), ≥ 0 and summing to 1; `unlike` (n,), 1 at its bound, 0 where the model remembers nothing.
    """

    probabilities: np.ndarray
    decisions: np.ndarray
    maps: np.ndarray
    unlike: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Parity:
    """How alike two programs are on `photos`; `problems` says in words what is too different, and is empty otherwise.

    `least_correlation` is of two maps of one photo, as of `correlate_maps`.
    """

    photos: int
    largest_difference: float
    other_answers: int
    least_correlation: float
    problems: tuple[str, ...] = ()


def compare_outputs(expected: Outputs, found: Outputs, config: ModelConfig) -> Parity:
    """How far what was `found` is from what was `expected` of the same photos, in the same order of classes."""
    for name in ("probabilities", "decisions", "maps", "unlike"):
        ours, theirs = getattr(expected, name), getattr(found, name)
        if ours.shape != theirs.shape:
            problem = f"its {name} have the shape {theirs.shape} rather than {ours.shape}"
            return Parity(
                photos=len(expected.maps),
                largest_difference=1.0,
                other_answers=len(expected.maps),
                least_correlation=0.0,
                problems=(problem,),
            )
    count, problems = len(expected.maps), list[str]()
    other = np.flatnonzero(_other_answers(expected, found, config))
    difference = float(np.abs(expected.probabilities - found.probabilities).max())
    correlation = float(np.min([correlate_maps(*pair) for pair in zip(expected.maps, found.maps, strict=True)]))
    if len(other):
        problems.append(f"it answers {len(other)} of {count} photos otherwise")
    if not difference <= TOLERANCE:  # also where a number is not finite
        problems.append(f"its probabilities differ by up to {difference:.2g}, more than {TOLERANCE:g}")
    if not correlation >= LEAST_CORRELATION:
        problems.append(f"its maps differ: rank correlation {correlation:.4f}, less than {LEAST_CORRELATION}")
    apart = float(np.abs(expected.unlike - found.unlike).max())
    if not apart <= UNLIKE:
        problems.append(f"its distances from what was learned differ by up to {apart:.2g}, more than {UNLIKE:g}")
    return Parity(
        photos=count,
        largest_difference=difference,
        other_answers=len(other),
        least_correlation=correlation,
        problems=tuple(problems),
    )


def correlate_maps(expected: np.ndarray, found: np.ndarray) -> float:
    """Spearman's rank correlation of two maps (h, w); of a level one with another 1, with any other 0."""
    if np.ptp(expected) <= LEVEL * expected.mean():
        return float(np.ptp(found) <= 2 * LEVEL * found.mean())
    with np.errstate(invalid="ignore"):  # a level one has no ranks, and no correlation
        return float(np.corrcoef(rankdata(expected), rankdata(found))[0, 1])


def _other_answers(expected: Outputs, found: Outputs, config: ModelConfig) -> np.ndarray:
    """Of which photos the answer is another, though it was no tie, (n,)."""
    other = expected.decisions != found.decisions
    p = expected.probabilities
    if config.multi_label:
        return np.asarray((other & (np.abs(p - np.array(config.cuts)) > TOLERANCE)).any(axis=1))
    ordered = np.sort(p, axis=1)
    ties = ordered[:, -1] - ordered[:, -2] <= 2 * TOLERANCE if p.shape[1] > 1 else np.zeros(len(p), bool)
    threshold = config.selection.threshold if config.selection else None
    if threshold is not None:
        ties |= np.abs(ordered[:, -1] - threshold) <= TOLERANCE
    return np.asarray(other & ~ties)


def stack_outputs(batches: Sequence[Sequence[np.ndarray]]) -> Outputs:
    """What a program said of several batches: of each probabilities, decisions, maps and distances, in this order."""
    p, decisions, maps, unlike = (np.concatenate([batch[place] for batch in batches]) for place in range(4))
    return Outputs(probabilities=p.astype(np.float64), decisions=decisions, maps=maps.astype(np.float64), unlike=unlike)
