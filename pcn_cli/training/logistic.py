"""Logistic regression on frozen features: the head of a network as a convex problem."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from pcn_cli.errors import DataError
from pcn_cli.training.device import one_thread
from pcn_cli.training.large_regression import LargeRegression

CS = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)  # values of C that are tried, the strongest penalty first
_WORSE = 2  # values of C in a row that are no better, after which larger ones are not tried
_MANY = 10_000  # photos, each view for itself, from which on scikit-learn's solver takes too long
_NEVER = -30.0  # logit of a class without a photo to learn from
_CERTAIN = 1e-6  # share of the photos that have a label of which all or none have it

Floats = NDArray[np.float32]
Targets = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class LinearHead:
    """Logits = features · weightᵀ + bias with weight (K, F) and bias (K,).

    It was learned with the regression's `C` from features of which `mean` (F,) was taken and which were divided by
    `scale` (F,). Where photos have `several` labels each class is decided for itself.
    """

    weight: Floats
    bias: Floats
    mean: Floats
    scale: Floats
    C: float
    several: bool

    def probabilities(self, features: Floats) -> NDArray[np.float64]:
        """(N, K) of features (N, F)."""
        logits = (features @ self.weight.T + self.bias).astype(np.float64)
        return np.asarray(expit(logits) if self.several else softmax(logits, axis=1))


def choose_head(
    features: Floats,
    targets: Targets,
    CS: Sequence[float] = CS,
    *,
    val_features: Floats,
    val_targets: Targets,
    classes: int,
    photo_weights: Floats | None = None,
    start: LinearHead | None = None,
) -> LinearHead:
    """The head whose C, of these, has the smallest validation log-loss; arguments as of `fit_heads`."""
    best, least, worse = None, np.inf, 0
    for head in fit_heads(features, targets, CS, classes=classes, photo_weights=photo_weights, start=start):
        loss = _log_loss(val_targets, head.probabilities(val_features))
        if best is None or loss < least:
            best, least, worse = head, loss, 0
        else:
            worse += 1
            if worse == _WORSE:
                break
    assert best is not None  # noqa: S101 - CS is not empty
    return best


def fit_head(
    features: Floats,
    targets: Targets,
    *,
    C: float,
    classes: int,
    photo_weights: Floats | None = None,
    start: LinearHead | None = None,
) -> LinearHead:
    """The head of one C; arguments as of `fit_heads`."""
    return next(fit_heads(features, targets, (C,), classes=classes, photo_weights=photo_weights, start=start))


def fit_heads(
    features: Floats,
    targets: Targets,
    CS: Sequence[float],
    *,
    classes: int,
    photo_weights: Floats | None = None,
    start: LinearHead | None = None,
) -> Iterator[LinearHead]:
    """For each C, ascending, the logistic regression of `targets` on scaled features (N, F), as a head for them.

    A feature is divided by the root of its standard deviation: one that varies much then counts for more than one that
    hardly does, though less than it would by itself (measured: tests/benchmarks/RESULTS.md).
    Targets are class numbers (N,), or (N, K) of 0 and 1 where photos may have several labels; `photo_weights` (N,) are
    what each photo weighs. A class that no photo has is next to impossible, a label that all have next to certain.
    A `start` that is close to what is sought saves steps on the way to the same head; one that has learned from photos
    which this one must not know would leave traces of them, since the last steps are never made.

    Raises:
        DataError: there are no photos.
    """
    if len(targets) == 0:
        raise DataError("there is no photo to train on")
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    scale = np.sqrt(np.where(deviation > 0, deviation, 1.0))
    scaled, several = (features - mean) / scale, targets.ndim == 2
    size = float(np.sqrt(np.mean(np.square(scaled)))) or 1.0  # so that one C means the same whatever the features are
    scaled, scale = scaled / size, scale * size
    solved: list[_Regression | LargeRegression]
    if several:
        shares = np.clip(targets.mean(axis=0), _CERTAIN, 1 - _CERTAIN)
        asked = [k for k in range(classes) if 0 < targets[:, k].mean() < 1]
        solved = [_Regression(scaled, targets[:, k], k, photo_weights) for k in asked]
        missing = logit(shares)
    else:
        present = np.unique(targets)
        # Two classes are one row of numbers, which scikit-learn penalises in its own way, and solves soon.
        solve = LargeRegression if len(targets) >= _MANY and len(present) > 2 else _Regression
        solved = [solve(scaled, targets, present, photo_weights)] if len(present) > 1 else []
        missing = np.where(np.isin(np.arange(classes), present), 0.0, _NEVER)
    if start is not None:
        for regression in solved:
            regression.begin(start.weight * scale, start.bias + start.weight @ mean)
    for C in CS:
        weight, bias = np.zeros((classes, features.shape[1])), missing.copy()
        for regression in solved:
            weight[regression.rows], bias[regression.rows] = regression.solve(C)
        weight /= scale
        yield LinearHead(
            weight=weight.astype(np.float32),
            bias=(bias - weight @ mean).astype(np.float32),
            mean=mean,
            scale=scale.astype(np.float32),
            C=C,
            several=several,
        )


class _Regression:
    """One regression that goes on from where the last C left it, and the rows of the head that it gives."""

    def __init__(self, scaled: Floats, targets: Targets, rows: int | Targets, photo_weights: Floats | None) -> None:
        self._scaled, self._targets, self.rows, self._weights = scaled, targets, rows, photo_weights
        self._model = LogisticRegression(max_iter=500, warm_start=True)

    def begin(self, weight: NDArray[np.floating], bias: NDArray[np.floating]) -> None:
        """Go on from a head for scaled features, (K, F) and (K,)."""
        rows = np.atleast_1d(self.rows)
        weight, bias = weight[rows], bias[rows]
        if len(rows) == 2:
            weight, bias = weight[1:] - weight[:1], bias[1:] - bias[:1]
        self._model.coef_, self._model.intercept_ = weight, bias

    def solve(self, C: float) -> tuple[NDArray, NDArray]:  # type: ignore[type-arg]
        """Weight (K, F) and bias (K,) of these rows, for scaled features; numbers where it is a single row."""
        with one_thread(), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # one that is nearly converged will do
            warnings.filterwarnings("ignore", message="The number of unique classes")  # many may be: nothing is guessed
            self._model.set_params(C=C).fit(self._scaled, self._targets, sample_weight=self._weights)
        weight, bias = self._model.coef_, self._model.intercept_
        if isinstance(self.rows, int):
            return weight[0], bias[0]
        if len(self.rows) == 2:  # scikit-learn gives the difference of the two
            return np.stack([-weight[0] / 2, weight[0] / 2]), np.array([-bias[0] / 2, bias[0] / 2])
        return weight, bias


def _log_loss(targets: Targets, probabilities: NDArray[np.float64]) -> float:
    if targets.ndim == 2:
        return float(log_loss(targets.ravel(), probabilities.ravel(), labels=[0, 1]))
    return float(log_loss(targets, probabilities, labels=np.arange(probabilities.shape[1])))
