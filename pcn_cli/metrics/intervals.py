"""Values with 95 % intervals: each method is the simplest that holds the truth in 92 to 98 of 100 simulated test parts.

Shares have Wilson's interval; what a confusion matrix says has the same, with the number of photos that its spread is
worth; means and areas under curves have Hall's, which knows that losses are skewed. For the rest, photos are drawn
again, class by class. tests/metrics/test_coverage.py simulates how often each holds the truth.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np
from scipy.stats import binomtest, norm

from pcn_cli.metrics.inputs import Floats, Indices, Inputs, SingleLabel
from pcn_cli.records.metrics import Metric

Interval = tuple[float, float]
Statistic = Callable[[Floats, Floats], Floats]  # from right answers and predictions (R, K) per class to values (R,)
RESAMPLES = 2_000
BORROWED = 2.0  # photos' worth of the error rate of all classes that each class is given
_BOTH_WAYS = norm.ppf((0.025, 0.975))
_SAME = 1e-12  # sums of the same numbers in another order differ by less
_NUMBERS_AT_A_TIME = 500_000  # small enough for the processor's cache: memory stays flat for 100,000 photos


def proportion(right: int, n: int, method: str) -> Metric:
    """The share of `right` photos among `n`, with Wilson's interval."""
    low, high = wilson(right, n)
    return Metric(value=right / n, n=n, method=f"{method}; Wilson interval", ci_low=low, ci_high=high)


def mean(values: Floats, inputs: Inputs, method: str) -> Metric:
    """The mean of a value ≥ 0 per photo, with Hall's interval."""
    return summed(float(values.mean()), values / values.size, inputs, method)


def summed(value: float, influence: Floats, inputs: Inputs, method: str, *, most: float = math.inf) -> Metric:
    """A value from 0 to `most` to which one more of each photo adds `influence` (n,), with Hall's interval."""
    interval = hall(value, influence, inputs.strata, most=most)
    return with_interval(value, inputs, method, interval, kind=f"Hall's skewness-corrected {inputs.draw}")


def counted(inputs: SingleLabel, method: str, statistic: Statistic, *, lowest: float = 0.0) -> Metric:
    """A statistic of the confusion matrix, with the interval of `wilson_of_counts`."""
    interval = wilson_of_counts(inputs.matrix, statistic, lowest=lowest)
    right, _, given = (counts[None].astype(np.float64) for counts in inputs.counts)
    return with_interval(float(statistic(right, given)[0]), inputs, method, interval, kind="Wilson's effective-sample")


def weighted(inputs: Inputs, statistic: Callable[[Floats], Floats], method: str) -> Metric:
    """A statistic of weighted photos, with the interval of `bootstrap_weights`."""
    value = float(statistic(np.ones((1, len(inputs.labels))))[0])
    interval = bootstrap_weights(statistic, inputs.strata, seed=inputs.seed)
    return with_interval(value, inputs, method, interval, kind=f"bias-corrected {inputs.draw} bootstrap")


def with_interval(value: float, inputs: Inputs, method: str, interval: Interval | None, *, kind: str = "") -> Metric:
    """A value of these photos with an interval of this kind, where one is known."""
    low, high = interval or (None, None)
    known = f"; {kind} interval" if interval else ""
    return Metric(value=float(value), n=len(inputs.labels), method=method + known, ci_low=low, ci_high=high)


def wilson(successes: int, n: int) -> Interval:
    """Wilson's 95 % score interval of a proportion, within [0, 1]; a ValueError unless 0 ≤ successes ≤ n and n > 0."""
    interval = binomtest(successes, n).proportion_ci(confidence_level=0.95, method="wilson")
    return float(interval.low), float(interval.high)


def wilson_of_share(share: float, photos: float) -> Interval:
    """Wilson's interval of a share among photos; neither their number nor how many are right need be whole."""
    z2 = float(_BOTH_WAYS[1] ** 2)
    middle, half = share + z2 / (2 * photos), np.sqrt(z2 * (share * (1 - share) + z2 / (4 * photos)) / photos)
    low, high = (middle - half) / (1 + z2 / photos), (middle + half) / (1 + z2 / photos)
    return max(0.0, float(low)), min(1.0, float(high))


def paired(value: float, influence: Floats) -> Interval:
    """The 95 % interval of a difference on the same photos, to which one more of each adds `influence` (n,).

    As if two photos more had been drawn, one for each side (Bonett and Price 2012, J. Educ. Behav. Stat. 37), so that
    it does not shrink to nothing where both answer alike.
    """
    photos = influence.size
    own = photos * (influence - influence.mean()) + value
    center = own.sum() / (photos + 2)
    variance = ((own**2).sum() + 2) / (photos + 2) - center**2
    low, high = center + _BOTH_WAYS * np.sqrt(variance / (photos + 2))
    return max(-1.0, float(low)), min(1.0, float(high))


def wilson_of_counts(matrix: Indices, statistic: Statistic, *, lowest: float = 0.0) -> Interval | None:
    """Wilson's 95 % interval of a statistic of the confusion matrix; None where no answer would change it.

    The statistic is taken for a share among as many photos as give a share the same variance, which is the delta
    method's (for macro-F1: Takahashi et al. 2022, Applied Intelligence 52). A resample of a class without a mistake
    has none either, and says that it makes none; so each class borrows two photos' worth of the error rate of all.
    The rows of `matrix` (K, K) are the true classes; the statistic is from `lowest` to 1.
    """
    photos, count = matrix.sum(axis=1).astype(np.float64), len(matrix)
    wrong = (photos.sum() - np.trace(matrix) + 0.5) / (photos.sum() + 1)
    common = np.full((count, count), wrong / max(1, count - 1))  # how classes are answered on the whole
    np.fill_diagonal(common, 1 - wrong)
    shares = (matrix + BORROWED * common) / (photos[:, None] + BORROWED)
    counts = shares * photos[:, None]
    right, predicted = np.diag(counts), counts.sum(axis=0)
    # The derivatives by the right answers of each class, and by the predictions.
    step, none = 1e-3 * np.eye(count), np.zeros((count, count))
    more_right, more_predicted = np.concatenate([step, none]), np.concatenate([none, step])
    up = statistic(right + more_right, predicted + more_predicted)
    down = statistic(right - more_right, predicted - more_predicted)
    by_right, by_predicted = np.split((up - down) / 2e-3, 2)
    slopes = by_predicted + np.diag(by_right)  # what one more answer in each cell changes
    variance = float(photos @ ((shares * slopes**2).sum(axis=1) - (shares * slopes).sum(axis=1) ** 2))
    smoothed = (float(statistic(right[None], predicted[None])[0]) - lowest) / (1 - lowest)
    worth = smoothed * (1 - smoothed) * (1 - lowest) ** 2
    if variance <= _SAME * worth or worth <= 0:
        return None
    own = statistic(np.diag(matrix)[None].astype(np.float64), matrix.sum(axis=0)[None].astype(np.float64))
    low, high = wilson_of_share((float(own[0]) - lowest) / (1 - lowest), worth / variance)
    return lowest + (1 - lowest) * low, lowest + (1 - lowest) * high


def hall(value: float, influence: Floats, targets: Indices, *, most: float = math.inf) -> Interval | None:
    """Hall's 95 % interval of what adds up over photos, within [0, most]; None where no photo differs from its class.

    A transformation that takes the skewness out of the t statistic (Hall 1992, JRSS B 54): a mean whose few large
    losses were not drawn has a small variance too, and the plain interval would miss the truth above it. What an area
    under a curve lacks of 1 is such a sum as well. `influence` (n,) is what one more of each photo adds to the value;
    of a mean, its own values over n.
    """
    variance, third = _moments_of_sum(influence, targets)
    if variance <= _SAME**2:
        return None
    error = np.sqrt(variance)
    skewness = max(abs(third / error**3), _SAME) * (1 if third >= 0 else -1)
    far = 3 / skewness * (np.cbrt(1 + skewness * (_BOTH_WAYS - skewness / 6)) - 1)
    low, high = value - error * far[::-1]
    return max(0.0, float(low)), min(most, float(high))


def bootstrap_weights(statistic: Callable[[Floats], Floats], targets: Indices, *, seed: int) -> Interval | None:
    """The 95 % interval of a statistic of weighted photos; None where all resamples agree.

    A resample keeps the weight of every class but draws one photo fewer from it: drawing all n would show (n − 1)/n of
    the variance (Rao and Wu 1988). The percentiles are bias-corrected (Efron 1987, without acceleration). `statistic`
    gives from weights (R, n), how often each photo was drawn, the values (R,).
    """
    values = np.concatenate([statistic(weights) for weights in _resampled_weights(targets, seed)])
    # When every resample gives the same (no mistake, or one photo per class) the bootstrap knows nothing.
    if values.max() - values.min() < _SAME:
        return None
    own = float(statistic(np.ones((1, targets.size)))[0])
    # The percentiles move by how far the resamples' median lies from the statistic's own value.
    below = ((values < own - _SAME).mean() + (values <= own + _SAME).mean()) / 2
    shift = norm.ppf(np.clip(below, 1 / RESAMPLES, 1 - 1 / RESAMPLES))
    low, high = np.quantile(values, norm.cdf(2 * shift + _BOTH_WAYS))
    return float(low), float(high)


def _moments_of_sum(values: Floats, targets: Indices) -> tuple[float, float]:
    """Variance and third central moment of a sum over photos that are drawn class by class, estimated without bias.

    Classes of fewer than three photos are taken together: alone they show no spread.
    """
    counts = np.bincount(targets)
    strata = np.where(counts[targets] < 3, -1, targets)
    variance = third = 0.0
    for stratum in np.unique(strata):
        own = values[strata == stratum]
        n, deviations = own.size, own - own.mean()
        variance += n / max(1, n - 1) * float((deviations**2).sum())
        third += n * n / max(1, (n - 1) * (n - 2)) * float((deviations**3).sum())
    return variance, third


def _resampled_weights(targets: Indices, seed: int) -> Iterator[Floats]:
    """How often each photo is drawn, (R, n) at a time; a class keeps its sum."""
    rng = np.random.default_rng(seed)
    classes = [np.flatnonzero(targets == label) for label in np.unique(targets)]
    rows = max(1, _NUMBERS_AT_A_TIME // targets.size)
    for start in range(0, RESAMPLES, rows):
        count = min(rows, RESAMPLES - start)
        weights = np.zeros((count, targets.size))
        for own in classes:
            draws = max(1, own.size - 1)
            cells = rng.integers(0, own.size, (count, draws)) + own.size * np.arange(count)[:, None]
            drawn = np.bincount(cells.ravel(), minlength=count * own.size).reshape(count, own.size)
            weights[:, own] = drawn * (own.size / draws)
        yield weights
