"""ROC and precision–recall: how well each class's probability puts its own photos first, one class against the rest.

scikit-learn measures the areas and the curves. Here is besides how much each photo adds to an area, from which
intervals follow. Photos of the same probability are taken together.
"""

import numpy as np
from sklearn.metrics import precision_recall_curve, roc_curve

from pcn_cli.metrics.inputs import Floats, Indices, Inputs, SingleLabel, Truths
from pcn_cli.metrics.reliability import reliability
from pcn_cli.metrics.selective import coverage_curve
from pcn_cli.records.evaluation import Curve, Curves
from pcn_cli.records.model import ModelConfig

POINTS = 200
_DIGITS = 5

SHOWN = 20  # decisions in a bin that is drawn


def gather_curves(inputs: Inputs, config: ModelConfig) -> Curves:
    """The curves and bins of a model's answers; a class has curves where some photos are of it and some are not."""
    rankings = inputs.rankings()
    return Curves(
        coverage=thin(*coverage_curve(inputs.confidences, inputs.right)) if isinstance(inputs, SingleLabel) else None,
        before=reliability(*inputs.untempered().decisions, least=SHOWN),
        after=reliability(*inputs.decisions, least=SHOWN),
        roc={name: roc_points(*ranking) for name, ranking in rankings.items()},
        precision_recall={name: precision_recall_points(*ranking) for name, ranking in rankings.items()},
        temperature=config.temperature,
        calibration=config.calibration,
        selection=config.selection,
        conformal=config.conformal,
        thresholds=config.thresholds,
    )


def average_precision_influence(scores: Floats, own: Truths) -> Floats:
    """The derivative (n,) of average precision by the weight of each photo; `own` (n,) are those of the class."""
    group, positives, photos = _grouped(scores, own)
    found, taken = np.cumsum(positives), np.cumsum(photos)
    precision = found / taken
    area = (positives * precision).sum() / found[-1]
    # A photo changes the precision at its own place and at every place below it.
    gain = np.cumsum((positives / taken)[::-1])[::-1]
    loss = np.cumsum((positives * found / taken**2)[::-1])[::-1]
    return np.asarray((own * (precision + gain - area)[group] - loss[group]) / found[-1])


def roc_area_influence(scores: Floats, own: Truths) -> Floats:
    """The derivative (n,) of the area under the ROC curve by the weight of each photo (DeLong et al. 1988)."""
    group, positives, photos = _grouped(scores, own)
    others = photos - positives
    above, below = np.cumsum(positives) - positives / 2, others.sum() - np.cumsum(others) + others / 2
    area = (positives * below).sum() / (positives.sum() * others.sum())
    ahead, behind = below / others.sum(), above / positives.sum()
    return np.asarray(np.where(own, (ahead[group] - area) / positives.sum(), (behind[group] - area) / others.sum()))


def roc_points(scores: Floats, own: Truths) -> Curve:
    """False against true positive rate, at most 200 points."""
    false, true, _ = roc_curve(own, scores)
    return thin(false, true)


def precision_recall_points(scores: Floats, own: Truths) -> Curve:
    """Recall against precision, at most 200 points, recall rising."""
    precision, recall, _ = precision_recall_curve(own, scores)
    return thin(recall[::-1], precision[::-1])


def thin(x: Floats, y: Floats) -> Curve:
    """At most 200 of the points, evenly spaced along the line, both ends among them; five decimals."""
    chosen = np.arange(x.size)
    if x.size > POINTS:
        length = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
        places = np.searchsorted(length, np.linspace(0, length[-1], POINTS))
        places[-1] = x.size - 1
        chosen = np.unique(np.minimum(places, x.size - 1))
    return Curve(x=tuple(np.round(x[chosen], _DIGITS).tolist()), y=tuple(np.round(y[chosen], _DIGITS).tolist()))


def _grouped(scores: Floats, own: Truths) -> tuple[Indices, Floats, Floats]:
    """Each photo's group of equal scores, the highest first; per group the photos of the class and all photos."""
    _, group = np.unique(-scores, return_inverse=True)
    positives = np.bincount(group, weights=own.astype(np.float64)).astype(np.float64)
    return group.astype(np.int64), positives, np.bincount(group).astype(np.float64)
