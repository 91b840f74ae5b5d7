"""What is measured: METRICS has one row per metric, in display order; scikit-learn computes, every number has its n.

A class without photos in the measured part cannot be judged: it is left out of the means over classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_fscore_support

from pcn_cli.metrics import confidence, decisions
from pcn_cli.metrics.baselines import majority_baseline, prior_baseline
from pcn_cli.metrics.inputs import Answers, collect_answers
from pcn_cli.records.metrics import ClassRow, Metric


@dataclass(frozen=True, kw_only=True)
class MetricRow:
    """One metric; `{k}` in key and title stands for top_k, `compute` gives None where the metric says nothing."""

    key: str
    title: str
    better: Literal["higher", "lower"]
    compute: Callable[[Answers], Metric | None]


def measure(
    labels: Sequence[str],
    probabilities: NDArray[np.floating],
    classes: Sequence[str],
    *,
    temperature: float = 1.0,
    top_k: int = 5,
    seed: int = 0,
    train_labels: Sequence[str] | None = None,
) -> dict[str, Metric]:
    """Every metric that can be measured, by key, in display order.

    Args:
        labels: the true class names of n photos.
        probabilities: (n, K), in the order of `classes`.
        classes: the names of the model's K classes.
        temperature: that the probabilities were made with.
        top_k: k of the top-k accuracy; left out unless 1 < k < K.
        seed: of the bootstrap.
        train_labels: of the training part, for the baselines.

    Raises:
        ValueError: no photos, a label that is no class, or probabilities that are not finite or do not fit.
    """
    answers = collect_answers(
        labels,
        probabilities,
        classes,
        temperature=temperature,
        top_k=top_k,
        seed=seed,
        train_labels=train_labels,
    )
    measured = ((row.key.format(k=top_k), row.compute(answers)) for row in METRICS)
    return {key: metric for key, metric in measured if metric is not None}


def per_class(
    labels: Sequence[str], probabilities: NDArray[np.floating], classes: Sequence[str]
) -> tuple[ClassRow, ...]:
    """One row per class, in the order of `classes`; recall and F1 are None where the class has no photos here."""
    answers = collect_answers(labels, probabilities, classes)
    precision, recall, f1, support = precision_recall_fscore_support(
        answers.targets, answers.predicted, labels=np.arange(len(classes)), zero_division=0
    )
    guessed = answers.matrix.sum(axis=0)
    return tuple(
        ClassRow(
            label=name,
            precision=float(precision[i]) if guessed[i] else None,
            recall=float(recall[i]) if support[i] else None,
            f1=float(f1[i]) if support[i] else None,
            average_precision=_average_precision(answers, i),
            support=int(support[i]),
        )
        for i, name in enumerate(classes)
    )


def _average_precision(answers: Answers, label: int) -> float | None:
    own = answers.support[label]
    return confidence.class_average_precision(answers, label) if 0 < own < answers.targets.size else None


def confusion(labels: Sequence[str], probabilities: NDArray[np.floating], classes: Sequence[str]) -> NDArray[np.int64]:
    """(K, K) counts: row = true class, column = predicted class, both in the order of `classes`."""
    return collect_answers(labels, probabilities, classes).matrix


METRICS: tuple[MetricRow, ...] = (
    MetricRow(key="accuracy", title="Accuracy", better="higher", compute=decisions.accuracy),
    MetricRow(key="balanced_accuracy", title="Balanced accuracy", better="higher", compute=decisions.balanced_accuracy),
    MetricRow(key="macro_f1", title="Macro-F1", better="higher", compute=decisions.macro_f1),
    MetricRow(key="mcc", title="Matthews correlation", better="higher", compute=decisions.matthews),
    MetricRow(key="log_loss", title="Log-loss", better="lower", compute=confidence.log_loss_metric),
    MetricRow(
        key="log_loss_untempered", title="Log-loss at T = 1", better="lower", compute=confidence.log_loss_untempered
    ),
    MetricRow(key="brier", title="Brier score", better="lower", compute=confidence.brier),
    MetricRow(key="ece", title="Calibration error", better="lower", compute=confidence.ece),
    MetricRow(
        key="ece_untempered", title="Calibration error at T = 1", better="lower", compute=confidence.ece_untempered
    ),
    MetricRow(key="top_{k}_accuracy", title="Top-{k} accuracy", better="higher", compute=confidence.top_k_accuracy),
    MetricRow(
        key="mean_average_precision",
        title="Mean average precision",
        better="higher",
        compute=confidence.mean_average_precision,
    ),
    MetricRow(key="roc_auc", title="ROC area", better="higher", compute=confidence.roc_auc),
    MetricRow(key="aurc", title="Area under risk–coverage", better="lower", compute=confidence.aurc),
    MetricRow(key="baseline_majority", title="Most frequent class", better="higher", compute=majority_baseline),
    MetricRow(key="baseline_prior_log_loss", title="Log-loss of class shares", better="lower", compute=prior_baseline),
)
