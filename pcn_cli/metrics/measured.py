"""From values to metrics: each with its interval, its number of photos and the words for how it was computed."""

import math
from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pcn_cli.metrics.intervals import Interval, hall, wilson
from pcn_cli.records.metrics import Metric


class Photos(Protocol):
    """The measured photos, as far as intervals ask for them."""

    @property
    def targets(self) -> NDArray[np.int64]:
        """(n,) the stratum of each photo; a resample keeps their weights."""
        ...

    @property
    def draw(self) -> str:
        """Whether photos are drawn class by class, in a word."""
        ...

    @property
    def seed(self) -> int:
        """Of the resamples."""
        ...

    def rankings(self) -> Iterator[tuple[NDArray[np.float64], NDArray[np.bool_]]]:
        """For each class that can be ranked the photos' probabilities (n,), and which photos are of the class."""
        ...


def proportion(right: int, n: int, method: str) -> Metric:
    """The share of `right` photos among `n`, with Wilson's interval."""
    low, high = wilson(right, n)
    return Metric(value=right / n, n=n, method=f"{method}; Wilson interval", ci_low=low, ci_high=high)


def mean(values: NDArray[np.float64], answers: Photos, method: str) -> Metric:
    """The mean of a value ≥ 0 per photo, with Hall's interval."""
    return added_up(float(values.mean()), values / values.size, answers, method)


def added_up(
    value: float, influence: NDArray[np.float64], answers: Photos, method: str, *, most: float = math.inf
) -> Metric:
    """A value from 0 to `most` to which one more of each photo adds `influence` (n,), with Hall's interval."""
    interval = hall(value, influence, answers.targets, most=most)
    return with_interval(value, answers, method, interval, kind=f"Hall's skewness-corrected {answers.draw}")


def mean_loss(own: NDArray[np.float64], answers: Photos, method: str) -> Metric:
    """The log-loss of photos whose labels got the probabilities `own` (n,)."""
    return mean(photo_losses(own), answers, method)


def photo_losses(own: NDArray[np.float64]) -> NDArray[np.float64]:
    """−ln of each photo's probability of its label (n,), clipped as scikit-learn does."""
    return np.asarray(-np.log(np.clip(own, np.finfo(np.float64).eps, 1)))


def with_interval(
    value: float,
    answers: Photos,
    method: str,
    interval: Interval | None,
    *,
    kind: str = "",
) -> Metric:
    """A value with an interval of this kind, where one is known; the bootstrap's where none is named."""
    low, high = interval or (None, None)
    known = f"; {kind or f'bias-corrected {answers.draw} bootstrap'} interval" if interval else ""
    return Metric(value=float(value), n=answers.targets.size, method=method + known, ci_low=low, ci_high=high)
