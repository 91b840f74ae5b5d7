"""What is measured where a photo may have several labels: METRICS has one row per metric, in display order.

A class that no measured photo has cannot be judged: it is left out of the means over classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from pcn_cli.metrics import baselines, confidence
from pcn_cli.metrics.calibration import BINS, expected_calibration_error, reliability
from pcn_cli.metrics.intervals import bootstrap_weights
from pcn_cli.metrics.measured import mean, photo_losses, proportion, with_interval
from pcn_cli.metrics.multi_label.answers import Floats, MultiAnswers, Truths, collect_answers
from pcn_cli.metrics.multi_label.calibration import temper
from pcn_cli.metrics.promises import describe_temperature
from pcn_cli.metrics.ranking import precision_recall_points, roc_points
from pcn_cli.records.evaluation import Curves
from pcn_cli.records.metrics import ClassRow, Metric
from pcn_cli.records.model import ModelConfig


@dataclass(frozen=True, kw_only=True)
class MultiMetricRow:
    """One metric; `compute` gives None where it says nothing."""

    key: str
    compute: Callable[[MultiAnswers], Metric | None]


def measure(
    labels: Sequence[str],
    probabilities: NDArray[np.floating],
    config: ModelConfig,
    *,
    seed: int = 0,
    train_labels: Sequence[str] | None = None,
) -> dict[str, Metric]:
    """Every metric that can be measured, by key, in display order.

    Args:
        labels: all labels of each of n photos, joined.
        probabilities: (n, K), each for itself, in the order of the model's classes.
        config: of the model, for its classes, thresholds and temperature.
        seed: of the bootstrap.
        train_labels: of the training part, for the baselines.

    Raises:
        ValueError: no photos, a label that is no class, or probabilities that are none or do not fit.
    """
    answers = collect_answers(
        labels,
        probabilities,
        config.classes,
        cuts=config.cuts,
        temperature=config.temperature,
        seed=seed,
        train_labels=train_labels,
    )
    measured = ((row.key, row.compute(answers)) for row in METRICS)
    metrics = {key: metric for key, metric in measured if metric is not None}
    return metrics | (describe_temperature(config.temperature, config.calibration) if config.calibration else {})


def per_class(labels: Sequence[str], probabilities: NDArray[np.floating], config: ModelConfig) -> tuple[ClassRow, ...]:
    """One row per class, in the order of the model's; recall and F1 are None where no photo here has the class."""
    answers = collect_answers(labels, probabilities, config.classes, cuts=config.cuts)
    right, own, given = (table[0] for table in _counts(answers, np.ones((1, len(labels)))))
    rankable = set(answers.rankable.tolist())
    return tuple(
        ClassRow(
            label=name,
            precision=float(right[k] / given[k]) if given[k] else None,
            recall=float(right[k] / own[k]) if own[k] else None,
            f1=float(2 * right[k] / (own[k] + given[k])) if own[k] else None,
            average_precision=float(average_precision_score(answers.truths[:, k], answers.probabilities[:, k]))
            if k in rankable
            else None,
            support=int(own[k]),
        )
        for k, name in enumerate(config.classes)
    )


def gather_curves(labels: Sequence[str], probabilities: NDArray[np.floating], config: ModelConfig) -> Curves:
    """ROC and precision–recall of each class that some photos have and some have not; reliability of all decisions."""
    answers = collect_answers(labels, probabilities, config.classes)
    names = [config.classes[label] for label in answers.rankable]
    before = temper(answers.probabilities, 1 / config.temperature)
    return Curves(
        before=reliability(before.ravel(), answers.truths.ravel()),
        after=reliability(answers.probabilities.ravel(), answers.truths.ravel()),
        roc={name: roc_points(scores, own) for name, (scores, own) in zip(names, answers.rankings(), strict=True)},
        precision_recall={
            name: precision_recall_points(scores, own)
            for name, (scores, own) in zip(names, answers.rankings(), strict=True)
        },
        temperature=config.temperature,
        calibration=config.calibration,
        thresholds=config.thresholds,
    )


def macro_f1_value(truths: Truths, decided: Truths) -> float:
    """The mean F1 over the classes that some photos have; 0 where there is none."""
    right, own, given = (truths & decided).sum(axis=0), truths.sum(axis=0), decided.sum(axis=0)
    return float(_mean_of_known(2 * right[None], (own + given)[None], own[None] > 0)[0])


def macro_f1(answers: MultiAnswers) -> Metric | None:
    """The mean F1 over the classes that some photos have; None where there is none."""

    def resampled(weights: Floats) -> Floats:
        right, own, given = _counts(answers, weights)
        return _mean_of_known(2 * right, own + given, own > 0)

    method = "mean F1, at their thresholds, of the classes with photos"
    return _weighted(answers, resampled, method) if answers.measured.size else None


def micro_f1(answers: MultiAnswers) -> Metric | None:
    """F1 over all decisions together; None where no photo has a label."""

    def resampled(weights: Floats) -> Floats:
        right, own, given = (table.sum(axis=1) for table in _counts(answers, weights))
        return np.asarray(2 * right / np.maximum(own + given, np.finfo(np.float64).tiny))

    method = "F1, at the thresholds, of all decisions together"
    return _weighted(answers, resampled, method) if answers.measured.size else None


def exact_match(answers: MultiAnswers) -> Metric:
    """The share of photos of which every label is right."""
    right = (answers.decided == answers.truths).all(axis=1)
    return proportion(int(right.sum()), right.size, "share of photos with all labels right and none too many")


def hamming(answers: MultiAnswers) -> Metric:
    """The share of wrong decisions."""
    wrong = (answers.decided != answers.truths).mean(axis=1)
    return mean(wrong, answers, "share of wrong decisions, one per photo and class, at the thresholds")


def log_loss(answers: MultiAnswers) -> Metric:
    """The mean binary log-loss."""
    return _log_loss(answers.probabilities, answers, "mean −ln p of what is true, over photos and classes")


def log_loss_untempered(answers: MultiAnswers) -> Metric | None:
    """The same without the temperature; None where that is 1."""
    if answers.temperature == 1:
        return None
    before = temper(answers.probabilities, 1 / answers.temperature)
    return _log_loss(before, answers, "the same without the temperature")


def brier(answers: MultiAnswers) -> Metric:
    """The mean squared distance of the probabilities from what is true, 0 … 1."""
    squares = ((answers.probabilities - answers.truths) ** 2).mean(axis=1)
    return mean(
        squares, answers, "Brier score: mean squared distance from what is true, over photos and classes, 0 to 1"
    )


def ece(answers: MultiAnswers) -> Metric:
    """Expected calibration error of all decisions together."""
    value = expected_calibration_error(reliability(answers.probabilities.ravel(), answers.truths.ravel()))
    method = f"expected calibration error over photos and classes, {BINS} bins of equally many; no interval"
    return with_interval(value, answers, method, None)


def majority_baseline(answers: MultiAnswers) -> Metric | None:
    """The exact match of always giving the most frequent set of labels; None where the training part is unknown."""
    return (
        baselines.baseline(answers.train_labels, answers.labels, of="set of labels") if answers.train_labels else None
    )


def prior_precision(answers: MultiAnswers) -> Metric | None:
    """The mean average precision of the classes' shares in training, which rank no photo before another."""
    guessed = answers.guessed()
    found = confidence.mean_average_precision(guessed) if guessed else None
    method = "mean average precision of the classes' shares in training, which put no photo before another"
    return replace(found, method=f"{method}; {found.method.partition('; ')[2]}") if found else None


def prior_loss(answers: MultiAnswers) -> Metric | None:
    """The log-loss of the classes' shares in training; None where these are unknown."""
    guessed = answers.guessed()
    if guessed is None:
        return None
    return _log_loss(guessed.probabilities, answers, "mean −ln of the classes' shares in training, without a look")


def _log_loss(probabilities: Floats, answers: MultiAnswers, method: str) -> Metric:
    given = np.where(answers.truths, probabilities, 1 - probabilities)
    return mean(np.asarray(photo_losses(given).mean(axis=1)), answers, method)


def _counts(answers: MultiAnswers, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """Right labels, true labels and given labels of each class, (R, K), for photos drawn as often as `weights` say."""
    tables = (answers.truths & answers.decided, answers.truths, answers.decided)
    right, own, given = (np.asarray(weights @ table.astype(np.float64)) for table in tables)
    return right, own, given


def _mean_of_known(values: NDArray[np.number], over: NDArray[np.number], known: Truths) -> Floats:
    """The mean of values / over (R, K) over the known classes of each row; 0 where none is known."""
    shares = np.divide(values, over, out=np.zeros(values.shape), where=known)
    return np.asarray(shares.sum(axis=1) / np.maximum(known.sum(axis=1), 1))


def _weighted(answers: MultiAnswers, statistic: Callable[[Floats], Floats], method: str) -> Metric:
    value = float(statistic(np.ones((1, len(answers.truths))))[0])
    interval = bootstrap_weights(statistic, answers.targets, seed=answers.seed)
    return with_interval(value, answers, method, interval)


METRICS: tuple[MultiMetricRow, ...] = (
    MultiMetricRow(key="mean_average_precision", compute=confidence.mean_average_precision),
    MultiMetricRow(key="macro_f1", compute=macro_f1),
    MultiMetricRow(key="micro_f1", compute=micro_f1),
    MultiMetricRow(key="exact_match", compute=exact_match),
    MultiMetricRow(key="hamming_loss", compute=hamming),
    MultiMetricRow(key="log_loss", compute=log_loss),
    MultiMetricRow(key="log_loss_untempered", compute=log_loss_untempered),
    MultiMetricRow(key="brier", compute=brier),
    MultiMetricRow(key="ece", compute=ece),
    MultiMetricRow(key="roc_auc", compute=confidence.roc_auc),
    MultiMetricRow(key="baseline_majority_set", compute=majority_baseline),
    MultiMetricRow(key="baseline_prior_average_precision", compute=prior_precision),
    MultiMetricRow(key="baseline_prior_log_loss", compute=prior_loss),
)
