"""Metrics of the probabilities: how sure, how well calibrated, how well ordered."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score, top_k_accuracy_score

from pcn_cli.metrics import ranking
from pcn_cli.metrics.calibration import BINS, expected_calibration_error, reliability, temper
from pcn_cli.metrics.inputs import Answers
from pcn_cli.metrics.intervals import Floats
from pcn_cli.metrics.measured import Photos, added_up, mean, mean_loss, proportion, with_interval
from pcn_cli.metrics.selective import risk_area, risk_area_influence
from pcn_cli.records.metrics import Metric

Truths = NDArray[np.bool_]


def log_loss_metric(answers: Answers) -> Metric:
    """The mean −ln p of the label."""
    return mean_loss(answers.own, answers, "mean −ln p of the label")


def brier(answers: Answers) -> Metric:
    """The mean squared distance of the probabilities from the label, 0 … 2."""
    squares = (answers.probabilities**2).sum(axis=1) - 2 * answers.own + 1
    return mean(np.maximum(squares, 0), answers, "Brier score: mean squared distance from the label, 0 to 2")


def ece(answers: Answers) -> Metric:
    """Expected calibration error with the model's temperature."""
    return _ece(answers.probabilities, answers, "")


def ece_untempered(answers: Answers) -> Metric | None:
    """The same without the temperature; None where that is 1."""
    if answers.temperature == 1:
        return None
    return _ece(temper(answers.probabilities, 1 / answers.temperature), answers, " without the temperature")


def log_loss_untempered(answers: Answers) -> Metric | None:
    """Log-loss without the temperature; None where that is 1."""
    if answers.temperature == 1:
        return None
    own = temper(answers.probabilities, 1 / answers.temperature)[np.arange(answers.targets.size), answers.targets]
    return mean_loss(own, answers, "mean −ln p of the label without the temperature")


def top_k_accuracy(answers: Answers) -> Metric | None:
    """The share of photos whose label is among the k most probable; None unless 1 < k < K."""
    count = answers.probabilities.shape[1]
    if not 1 < answers.top_k < count:
        return None
    right = top_k_accuracy_score(
        answers.targets, answers.probabilities, k=answers.top_k, labels=np.arange(count), normalize=False
    )
    method = f"share of photos whose label is among the {answers.top_k} most probable classes"
    return proportion(int(right), answers.targets.size, method)


def mean_average_precision(answers: Photos) -> Metric | None:
    """The mean over classes of the average precision; None where no class can be ranked."""
    method = "mean average precision of the classes with photos"
    return _mean_area(answers, average_precision_score, ranking.average_precision_influence, method)


def roc_auc(answers: Photos) -> Metric | None:
    """The mean over classes of the area under the ROC curve; None where no class can be ranked."""
    method = "mean area under the ROC curve, each class against the rest"
    return _mean_area(answers, roc_auc_score, ranking.roc_area_influence, method)


def class_average_precision(answers: Answers, label: int) -> float:
    """The average precision of one class against the rest."""
    return float(average_precision_score(answers.targets == label, answers.probabilities[:, label]))


def aurc(answers: Answers) -> Metric:
    """The area under the risk–coverage curve: the share of mistakes, averaged over how much is answered."""
    value = risk_area(answers.confidences, answers.right)
    method = "area under the risk–coverage curve: share of mistakes, averaged over all coverages"
    return added_up(value, risk_area_influence(answers.confidences, answers.right), answers, method, most=1.0)


def _mean_area(
    answers: Photos,
    measure: Callable[[Truths, Floats], float],
    influence: Callable[[Floats, Truths], Floats],
    method: str,
) -> Metric | None:
    areas, influences = [], np.zeros(answers.targets.size)
    for scores, own in answers.rankings():
        areas.append(float(measure(own, scores)))
        influences += influence(scores, own)
    if not areas:
        return None
    return added_up(float(np.mean(areas)), influences / len(areas), answers, method, most=1.0)


def _ece(probabilities: Floats, answers: Answers, without: str) -> Metric:
    # No interval: the plain estimate is biased upwards, so no resampling of it holds the truth as often as it says.
    value = expected_calibration_error(reliability(probabilities.max(axis=1), answers.right))
    method = f"expected calibration error{without}, {BINS} bins of equally many photos; biased upwards, no interval"
    return with_interval(value, answers, method, None)
