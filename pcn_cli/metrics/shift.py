"""Are new photos like known ones? A kernel two-sample test on features (Gretton et al. 2012, JMLR 13), by permutation.

Rabanser, Günnemann, Lipton 2019 (arXiv:1810.11953) found such tests on a network's features among the best of many.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import fisher_exact, mannwhitneyu

from pcn_cli.metrics.inputs import Floats
from pcn_cli.metrics.unlike import unit_length
from pcn_cli.records.shift import Differing, Shift

LEVEL = 0.005  # of each of two tests, on features and on answers: one false alarm in a hundred
FEWEST = 20  # photos on each side
MOST = 400  # photos of each side that are compared, drawn by chance
SHOWN = 12
_PERMUTATIONS = 1_999


def compare_photos(reference: NDArray[np.float32], new: NDArray[np.float32], *, seed: int) -> tuple[float, Floats]:
    """The p-value that features (N, C) and (M, C) come from one source, and how far each new photo speaks against it.

    The second is (M,): how much more like the other new photos than like the reference each one is.
    """
    rng = np.random.default_rng(seed)
    sides = [_draw(features, rng) for features in (reference, new)]
    known, ours = unit_length(sides[0]), unit_length(sides[1])
    both = np.concatenate([known, ours])
    squares = np.maximum(2 - 2 * both @ both.T, 0).astype(np.float64)
    scale = max(float(np.median(squares[np.triu_indices(len(both), 1)])), 1e-9)
    kernel = np.exp(-squares / scale)
    weights = np.concatenate([np.full(len(known), -1 / len(known)), np.full(len(ours), 1 / len(ours))])
    drawn = np.stack([weights, *(rng.permutation(weights) for _ in range(_PERMUTATIONS))])
    distances = np.einsum("pi,pi->p", drawn @ kernel, drawn)
    p_value = float((distances >= distances[0] * (1 - 1e-12)).mean())
    each = np.exp(-np.maximum(2 - 2 * unit_length(new) @ both.T, 0).astype(np.float64) / scale) @ weights
    return p_value, np.asarray(each, np.float64)


def find_differing(before: Mapping[str, Sequence[float]], now: Mapping[str, Sequence[float]]) -> tuple[Differing, ...]:
    """The facts of photos, such as brightness, that differ beyond chance, the most different first."""
    found = []
    for name in before:
        one, other = np.asarray(before[name]), np.asarray(now[name])
        if not (one.size and other.size):
            continue
        test = mannwhitneyu(other, one)
        if test.pvalue < LEVEL / len(before):  # as many tests as there are facts
            effect = abs(float(test.statistic) / (one.size * other.size) - 0.5)
            fact = Differing(name=name, before=float(np.median(one)), now=float(np.median(other)))
            found.append((effect, fact))
    return tuple(fact for _, fact in sorted(found, key=lambda pair: -pair[0]))


def find_class_shifts(before: Sequence[str], now: Sequence[str], classes: Sequence[str]) -> tuple[Differing, ...]:
    """The classes that are answered more or less often than before, beyond chance, the most different first."""
    found = []
    for name in classes:
        counts = [[sum(one == name for one in said), sum(one != name for one in said)] for said in (before, now)]
        if fisher_exact(counts).pvalue < LEVEL / len(classes):
            shares = [own / max(own + rest, 1) for own, rest in counts]
            found.append(Differing(name=name, before=shares[0], now=shares[1]))
    return tuple(sorted(found, key=lambda one: -abs(one.now - one.before)))


def tell_shift(shift: Shift) -> str:
    """What was found, as a sentence."""
    of = f"{shift.photos:,} photos beside {shift.reference:,} that nothing was learned from"
    if not shift.found:
        return f"These photos are like those that the model was measured on, as far as can be told ({of})"
    said = [f"{one.name} {one.before:.2f} → {one.now:.2f}" for one in shift.differing[:3]]
    said += [f"answered {one.name}: {one.before:.0%} → {one.now:.0%}" for one in shift.classes[:2]]
    what = f": {', '.join(said)}" if said else ""
    return f"These photos are not like those that the model was measured on, so its figures may not hold{what} ({of})"


def _draw(features: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    return features if len(features) <= MOST else features[rng.permutation(len(features))[:MOST]]
