"""How well each class's probability puts its own photos first, one class against the rest: ROC and precision–recall.

Written for weighted photos so that thousands of resamples are measured at once; with even weights the numbers are
scikit-learn's. Photos of the same probability are taken together.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from pcn_cli.records.curves import Curve

POINTS = 200
_DIGITS = 5

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


def average_precisions(probabilities: Floats, targets: Indices, classes: Indices, weights: Floats) -> Floats:
    """Average precision (R, classes) for photos with each row of `weights` (R, n)."""
    return _per_class(probabilities, targets, classes, weights, _average_precision)


def roc_areas(probabilities: Floats, targets: Indices, classes: Indices, weights: Floats) -> Floats:
    """Area under the ROC curve (R, classes) for photos with each row of `weights` (R, n)."""
    return _per_class(probabilities, targets, classes, weights, _roc_area)


def roc_points(probabilities: Floats, own: NDArray[np.bool_]) -> Curve:
    """False against true positive rate, at most 200 points."""
    false, true, _ = roc_curve(own, probabilities)
    return thin(false, true)


def precision_recall_points(probabilities: Floats, own: NDArray[np.bool_]) -> Curve:
    """Recall against precision, at most 200 points, recall rising."""
    precision, recall, _ = precision_recall_curve(own, probabilities)
    return thin(recall[::-1], precision[::-1])


def thin(x: Floats, y: Floats) -> Curve:
    """At most 200 of the points, evenly chosen along the line, both ends among them; five decimals."""
    length = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    wanted = np.searchsorted(length, np.linspace(0, length[-1], POINTS))
    chosen = np.arange(x.size) if x.size <= POINTS else np.unique(np.r_[0, np.clip(wanted, 0, x.size - 1), x.size - 1])
    chosen = chosen if chosen.size <= POINTS else np.delete(chosen, -2)
    return Curve(
        x=tuple(np.round(x[chosen], _DIGITS).tolist()),
        y=tuple(np.round(y[chosen], _DIGITS).tolist()),
    )


def _per_class(
    probabilities: Floats,
    targets: Indices,
    classes: Indices,
    weights: Floats,
    area: Callable[[Floats, Floats], Floats],
) -> Floats:
    areas = np.empty((len(weights), classes.size))
    for column, label in enumerate(classes):
        scores = probabilities[:, label]
        order = np.argsort(-scores, kind="stable")
        ends = np.append(np.flatnonzero(np.diff(scores[order])), order.size - 1)
        drawn = weights[:, order]
        own = np.cumsum(drawn * (targets[order] == label), axis=1)[:, ends]
        areas[:, column] = area(own, np.cumsum(drawn, axis=1)[:, ends])
    return areas


def _average_precision(own: Floats, taken: Floats) -> Floats:
    precision = np.divide(own, taken, out=np.zeros_like(own), where=taken > 0)
    return np.asarray((np.diff(own, axis=1, prepend=0.0) * precision).sum(axis=1) / own[:, -1])


def _roc_area(own: Floats, taken: Floats) -> Floats:
    others = taken - own
    before = np.pad(own, ((0, 0), (1, 0)))
    steps = np.diff(others, axis=1, prepend=0.0)
    return np.asarray((steps * (before[:, 1:] + before[:, :-1])).sum(axis=1) / (2 * own[:, -1] * others[:, -1]))
