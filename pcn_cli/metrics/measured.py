"""From values to metrics: each with its interval, its number of photos and the words for how it was computed."""

import numpy as np
from numpy.typing import NDArray

from pcn_cli.metrics.answers import Answers
from pcn_cli.metrics.intervals import Interval, hall_mean, wilson
from pcn_cli.records.metrics import Metric


def proportion(right: int, n: int, method: str) -> Metric:
    """The share of `right` photos among `n`, with Wilson's interval."""
    low, high = wilson(right, n)
    return Metric(value=right / n, n=n, method=f"{method}; Wilson interval", ci_low=low, ci_high=high)


def mean(values: NDArray[np.float64], answers: Answers, method: str) -> Metric:
    """The mean of a value ≥ 0 per photo, with Hall's interval."""
    interval = hall_mean(values, answers.targets)
    return with_interval(float(values.mean()), answers, method, interval, kind="Hall's skewness-corrected stratified")


def mean_loss(own: NDArray[np.float64], answers: Answers, method: str) -> Metric:
    """The log-loss of photos whose labels got the probabilities `own` (n,)."""
    return mean(photo_losses(own), answers, method)


def photo_losses(own: NDArray[np.float64]) -> NDArray[np.float64]:
    """−ln of each photo's probability of its label (n,), clipped as scikit-learn does."""
    return np.asarray(-np.log(np.clip(own, np.finfo(np.float64).eps, 1)))


def with_interval(
    value: float,
    answers: Answers,
    method: str,
    interval: Interval | None,
    *,
    kind: str = "bias-corrected stratified bootstrap",
) -> Metric:
    """A value with an interval of this kind, where one is known."""
    low, high = interval or (None, None)
    known = f"; {kind} interval" if interval else ""
    return Metric(value=float(value), n=answers.targets.size, method=method + known, ci_low=low, ci_high=high)
