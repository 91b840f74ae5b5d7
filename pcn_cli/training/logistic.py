"""Logistic regression on frozen features: the plain baseline beside the probe."""

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from pcn_cli.errors import DataError

CS = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)  # values of C that the baseline tries


class Baseline(NamedTuple):
    """What logistic regression makes of some photos: probabilities (N, K) float64, and the C that was chosen."""

    probabilities: np.ndarray
    C: float


def logistic_baseline(
    train_features: np.ndarray,
    train_targets: np.ndarray,
    *,
    val_features: np.ndarray,
    val_targets: np.ndarray,
    features: np.ndarray,
    classes: int,
) -> Baseline:
    """The probabilities that a logistic regression on standardised features (N, C) gives to `features`.

    C is the one of `CS` with the smallest validation log-loss. Targets (N, K) of 0 and 1 get a regression for each
    class, with one C for all.
    """
    several = train_targets.ndim == 2
    best: tuple[float, Baseline] | None = None
    for C in CS if several or len(np.unique(train_targets)) > 1 else CS[:1]:
        predict = regress(train_features, train_targets, C=C, classes=classes)
        predicted = predict(val_features)
        if several:
            loss = float(log_loss(val_targets.ravel(), predicted.ravel(), labels=[0, 1]))
        else:
            safe = np.clip(predicted, 1e-7, None)  # classes without a training photo have probability 0
            loss = float(log_loss(val_targets, safe / safe.sum(axis=1, keepdims=True), labels=np.arange(classes)))
        if best is None or loss < best[0]:
            best = loss, Baseline(probabilities=predict(features), C=C)
    assert best is not None  # noqa: S101 - CS is not empty
    return best[1]


def regress(features: np.ndarray, targets: np.ndarray, *, C: float, classes: int) -> Callable[[np.ndarray], np.ndarray]:
    """A function from features (N, C) to probabilities (N, K): a regression on standardised features with `targets`.

    Classes without a photo get probability 0. Where photos have several labels, with targets (N, K) of 0 and 1, each
    class is decided for itself, and one that all photos have, or none, is as probable as that.

    Raises:
        DataError: there are no photos.
    """
    if len(targets) == 0:
        raise DataError("there is no photo to train on")
    if targets.ndim == 2:
        return _regress_each(features, targets, C)
    present = np.unique(targets)
    model = _fit(features, targets, C) if len(present) > 1 else None

    def predict(other: np.ndarray) -> np.ndarray:
        probabilities = np.zeros((len(other), classes))
        probabilities[:, present] = 1.0 if model is None else model.predict_proba(other)
        return probabilities

    return predict


def _regress_each(features: np.ndarray, targets: np.ndarray, C: float) -> Callable[[np.ndarray], np.ndarray]:
    shares = targets.mean(axis=0)
    models = {k: _fit(features, targets[:, k], C) for k in np.flatnonzero((shares > 0) & (shares < 1)).tolist()}

    def predict(other: np.ndarray) -> np.ndarray:
        probabilities = np.tile(shares, (len(other), 1))
        for k, model in models.items():
            probabilities[:, k] = model.predict_proba(other)[:, 1]
        return probabilities

    return predict


def _fit(features: np.ndarray, targets: np.ndarray, C: float) -> Pipeline:
    model = make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=500))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a baseline that is nearly converged is one
        return model.fit(features, targets)
