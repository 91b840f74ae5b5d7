"""95 % intervals: Wilson's for proportions, a stratified and seeded bootstrap for what is built from a confusion matrix
or is a mean over photos. Resamples keep the number of photos of every class.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

Interval = tuple[float, float]
RESAMPLES = 2_000


def wilson(successes: int, n: int) -> Interval:
    """Wilson's 95 % score interval of a proportion, within [0, 1].

    Raises:
        ValueError: n is 0, or successes lie outside 0 … n.
    """
    interval = binomtest(successes, n).proportion_ci(confidence_level=0.95, method="wilson")
    return float(interval.low), float(interval.high)


def bootstrap_counts(
    matrix: NDArray[np.int64],
    statistic: Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float64]],
    *,
    seed: int,
) -> Interval | None:
    """The 95 % percentile interval of a statistic of the confusion matrix; None where all resamples agree.

    To draw the photos of a class again is to draw its row of the matrix from a multinomial.

    Args:
        matrix: (K, K) counts, rows are the true classes.
        statistic: from right answers (R, K) and predictions (R, K) per class to values (R,).
        seed: of the resamples.
    """
    rng = np.random.default_rng(seed)
    right = np.zeros((RESAMPLES, len(matrix)), dtype=np.int64)
    predicted = np.zeros_like(right)
    for label, row in enumerate(matrix):
        answers = np.flatnonzero(row)  # a class is taken for few others, also where there are a thousand
        if answers.size == 0:
            continue
        drawn = rng.multinomial(row.sum(), row[answers] / row.sum(), size=RESAMPLES)  # (R, answers)
        predicted[:, answers] += drawn
        right[:, label] = drawn[:, answers == label].sum(axis=1)
    return _percentiles(statistic(right, predicted))


def bootstrap_mean(values: NDArray[np.float64], targets: NDArray[np.int64], *, seed: int) -> Interval | None:
    """The 95 % percentile interval of a mean over photos; None where all resamples agree.

    Args:
        values: (n,), one per photo.
        targets: (n,) true classes.
        seed: of the resamples.
    """
    rng = np.random.default_rng(seed)
    sums = np.zeros(RESAMPLES)
    for label in np.unique(targets):
        own = values[targets == label]
        for start in range(0, RESAMPLES, _CHUNK):
            chosen = rng.integers(0, own.size, (min(_CHUNK, RESAMPLES - start), own.size))
            sums[start : start + _CHUNK] += own[chosen].sum(axis=1)
    return _percentiles(sums / values.size)


_CHUNK = 100  # resamples at a time: memory stays flat for 100,000 photos


def _percentiles(values: NDArray[np.float64]) -> Interval | None:
    low, high = (float(value) for value in np.percentile(values, (2.5, 97.5)))
    # When every resample gives the same (no mistake, or one photo per class) the bootstrap knows nothing.
    return (low, high) if high > low else None
