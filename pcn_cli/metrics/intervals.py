"""95 % intervals: Wilson's for proportions; a stratified, seeded bootstrap with 2,000 resamples for the rest.

A resample keeps the weight of every class but draws one photo fewer from it: drawing all n would show (n − 1)/n of the
variance, too little where classes are small (Rao and Wu 1988). Counts and ranks get bias-corrected percentiles (Efron
1987, without acceleration), means the studentised bootstrap, which knows that losses are skewed.
tests/metrics/test_coverage.py simulates how often each holds the truth.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import binomtest, norm

Interval = tuple[float, float]
Floats = NDArray[np.float64]
RESAMPLES = 2_000
_TAILS = (0.025, 0.975)
_NUMBERS_AT_A_TIME = 500_000  # small enough for the processor's cache: memory stays flat for 100,000 photos


def wilson(successes: int, n: int) -> Interval:
    """Wilson's 95 % score interval of a proportion, within [0, 1].

    Raises:
        ValueError: n is 0, or successes lie outside 0 … n.
    """
    interval = binomtest(successes, n).proportion_ci(confidence_level=0.95, method="wilson")
    return float(interval.low), float(interval.high)


def bootstrap_counts(
    matrix: NDArray[np.int64], statistic: Callable[[Floats, Floats], Floats], *, seed: int
) -> Interval | None:
    """The 95 % interval of a statistic of the confusion matrix; None where all resamples agree.

    To draw the photos of a class again is to draw its row of the matrix from a multinomial.

    Args:
        matrix: (K, K) counts, rows are the true classes.
        statistic: from right answers (R, K) and predictions (R, K) per class to values (R,).
        seed: of the resamples.
    """
    rng = np.random.default_rng(seed)
    right = np.zeros((RESAMPLES, len(matrix)))
    predicted = np.zeros_like(right)
    for label, row in enumerate(matrix):
        answers = np.flatnonzero(row)  # a class is taken for few others, also where there are a thousand
        if answers.size == 0:
            continue
        n, draws = int(row.sum()), _draws(int(row.sum()))
        drawn = rng.multinomial(draws, row[answers] / n, size=RESAMPLES) * (n / draws)  # (R, answers)
        predicted[:, answers] += drawn
        right[:, label] = drawn[:, answers == label].sum(axis=1)
    own = statistic(np.diag(matrix)[None].astype(float), matrix.sum(axis=0)[None].astype(float))
    return _bias_corrected(statistic(right, predicted), float(own[0]))


def bootstrap_weights(
    statistic: Callable[[Floats], Floats], targets: NDArray[np.int64], *, seed: int
) -> Interval | None:
    """The 95 % interval of a statistic of weighted photos; None where all resamples agree.

    Args:
        statistic: from weights (R, n), how often each photo was drawn, to values (R,).
        targets: (n,) true classes.
        seed: of the resamples.
    """
    values = np.concatenate([statistic(weights) for weights in _resampled_weights(targets, seed)])
    return _bias_corrected(values, float(statistic(np.ones((1, targets.size)))[0]))


def bootstrap_area(area: float, influence: Floats, targets: NDArray[np.int64], *, seed: int) -> Interval | None:
    """The 95 % interval of an area under a curve, within (0, 1); None where it is 0 or 1 or has no spread.

    A ranking is not measured anew for every resample: it changes by the sum of the drawn photos' influences, which on
    the logit scale stays within the bounds.

    Args:
        area: the measured value.
        influence: (n,) what one more of each photo adds to it.
        targets: (n,) true classes.
        seed: of the resamples.
    """
    sums, _ = _resampled_sums(influence, targets, seed)
    if not 0 < area < 1 or np.ptp(sums) < _SAME:
        return None
    low, high = expit(logit(area) + np.quantile(sums - influence.sum(), _TAILS) / (area * (1 - area)))
    return float(low), float(high)


def bootstrap_mean(values: Floats, targets: NDArray[np.int64], *, seed: int) -> Interval | None:
    """The studentised 95 % interval of a mean over photos, not below 0; None where no class shows a spread.

    Args:
        values: (n,) ≥ 0, one per photo.
        targets: (n,) true classes.
        seed: of the resamples.
    """
    own = [values[targets == label] for label in np.unique(targets)]
    if all(np.ptp(one) < _SAME for one in own):
        return None
    sums, variances = _resampled_sums(values, targets, seed)
    error = np.sqrt(sum(one.var() * one.size for one in own))
    # A resample of one photo again and again has no spread of its own, so it can say nothing of how far it is off.
    known = variances > 0
    if not known.any():  # no class has three photos
        return None
    low, high = np.quantile((sums[known] - values.sum()) / np.sqrt(variances[known]), _TAILS)
    mean = values.mean()
    return max(0.0, float(mean - high * error / values.size)), float(mean - low * error / values.size)


def _resampled_sums(values: Floats, targets: NDArray[np.int64], seed: int) -> tuple[Floats, Floats]:
    """The sum of the values in each resample, and the variance of that sum as the resample itself shows it."""
    rng = np.random.default_rng(seed)
    sums, variances = np.zeros(RESAMPLES), np.zeros(RESAMPLES)
    for label in np.unique(targets):
        own = values[targets == label]
        draws = _draws(own.size)
        rows = max(1, _NUMBERS_AT_A_TIME // draws)
        for start in range(0, RESAMPLES, rows):
            part = slice(start, min(start + rows, RESAMPLES))
            drawn = own[rng.integers(0, own.size, (part.stop - start, draws))]
            sums[part] += drawn.mean(axis=1) * own.size
            variances[part] += drawn.var(axis=1) * own.size
    return sums, variances


def _draws(n: int) -> int:
    return max(1, n - 1)


def _resampled_weights(targets: NDArray[np.int64], seed: int) -> Iterator[Floats]:
    """How often each photo is drawn, (R, n) at a time; a class keeps its sum."""
    rng = np.random.default_rng(seed)
    classes = [np.flatnonzero(targets == label) for label in np.unique(targets)]
    rows = max(1, _NUMBERS_AT_A_TIME // targets.size)
    for start in range(0, RESAMPLES, rows):
        count = min(rows, RESAMPLES - start)
        weights = np.zeros((count, targets.size))
        for own in classes:
            draws = _draws(own.size)
            cells = rng.integers(0, own.size, (count, draws)) + own.size * np.arange(count)[:, None]
            drawn = np.bincount(cells.ravel(), minlength=count * own.size).reshape(count, own.size)
            weights[:, own] = drawn * (own.size / draws)
        yield weights


def _bias_corrected(values: Floats, own: float) -> Interval | None:
    """Percentiles of resampled values, moved by how far their median lies from the statistic's own value."""
    # When every resample gives the same (no mistake, or one photo per class) the bootstrap knows nothing.
    if values.max() - values.min() < _SAME:
        return None
    below = ((values < own - _SAME).mean() + (values <= own + _SAME).mean()) / 2
    shift = norm.ppf(np.clip(below, 1 / RESAMPLES, 1 - 1 / RESAMPLES))
    low, high = np.quantile(values, norm.cdf(2 * shift + norm.ppf(_TAILS)))
    return float(low), float(high)


_SAME = 1e-12  # sums of the same numbers in another order differ by less
