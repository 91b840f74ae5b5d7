"""What is measured: METRICS has one row per metric, in display order; scikit-learn computes, every number has its n.

A class without photos in the measured part cannot be judged: it is left out of the means over classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.dummy import DummyClassifier
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
    recall_score,
    top_k_accuracy_score,
)

from pcn_cli.metrics.answers import Answers, collect_answers
from pcn_cli.metrics.intervals import Interval, bootstrap_counts, bootstrap_mean, wilson
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
    top_k: int = 5,
    seed: int = 0,
    train_labels: Sequence[str] | None = None,
) -> dict[str, Metric]:
    """Every metric that can be measured, by key, in display order.

    Args:
        labels: the true class names of n photos.
        probabilities: (n, K), in the order of `classes`.
        classes: the names of the model's K classes.
        top_k: k of the top-k accuracy; left out unless 1 < k < K.
        seed: of the bootstrap.
        train_labels: of the training part, for the majority baseline.

    Raises:
        ValueError: no photos, a label that is no class, or probabilities that are not finite or do not fit.
    """
    answers = collect_answers(labels, probabilities, classes, top_k=top_k, seed=seed, train_labels=train_labels)
    measured = ((row.key.format(k=top_k), row.compute(answers)) for row in METRICS)
    return {key: metric for key, metric in measured if metric is not None}


def baseline(train_labels: Sequence[str], labels: Sequence[str]) -> Metric:
    """The accuracy on `labels` of always guessing the most frequent class of the training part."""
    train, test = list(train_labels), list(labels)
    guess = DummyClassifier(strategy="most_frequent").fit(np.zeros((len(train), 1)), train)
    guessed = guess.predict(np.zeros((len(test), 1)))
    right = int(accuracy_score(test, guessed, normalize=False))
    return _proportion(right, len(test), f"always guessing {guessed[0]}, the most frequent class in training")


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
            support=int(support[i]),
        )
        for i, name in enumerate(classes)
    )


def confusion(labels: Sequence[str], probabilities: NDArray[np.floating], classes: Sequence[str]) -> NDArray[np.int64]:
    """(K, K) counts: row = true class, column = predicted class, both in the order of `classes`."""
    return collect_answers(labels, probabilities, classes).matrix


def _accuracy(answers: Answers) -> Metric:
    right = int(accuracy_score(answers.targets, answers.predicted, normalize=False))
    return _proportion(right, len(answers.targets), "share of photos whose most probable class is the label")


def _balanced_accuracy(answers: Answers) -> Metric:
    # recall_score is balanced accuracy without the warning about predicted classes that have no photos.
    value = recall_score(answers.targets, answers.predicted, labels=answers.measured, average="macro", zero_division=0)
    support = answers.matrix.sum(axis=1)[answers.measured]

    def resampled(right: NDArray[np.int64], _: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray((right[:, answers.measured] / support).mean(axis=1))

    interval = bootstrap_counts(answers.matrix, resampled, seed=answers.seed)
    return _with_interval(value, answers, "mean recall of the classes with photos", interval)


def _macro_f1(answers: Answers) -> Metric:
    value = f1_score(answers.targets, answers.predicted, labels=answers.measured, average="macro", zero_division=0)
    support = answers.matrix.sum(axis=1)[answers.measured]

    def resampled(right: NDArray[np.int64], predicted: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray((2 * right[:, answers.measured] / (support + predicted[:, answers.measured])).mean(axis=1))

    interval = bootstrap_counts(answers.matrix, resampled, seed=answers.seed)
    return _with_interval(value, answers, "mean F1 of the classes with photos", interval)


def _log_loss(answers: Answers) -> Metric:
    # Float64 and integer labels: scikit-learn clips at float64's epsilon and keeps the order of the columns.
    value = log_loss(answers.targets, answers.probabilities, labels=np.arange(answers.probabilities.shape[1]))
    own = answers.probabilities[np.arange(len(answers.targets)), answers.targets]
    losses = -np.log(np.clip(own, np.finfo(np.float64).eps, 1))
    interval = bootstrap_mean(losses, answers.targets, seed=answers.seed)
    return _with_interval(value, answers, "mean −ln p of the label", interval)


def _top_k_accuracy(answers: Answers) -> Metric | None:
    count = answers.probabilities.shape[1]
    if not 1 < answers.top_k < count:
        return None
    right = top_k_accuracy_score(
        answers.targets, answers.probabilities, k=answers.top_k, labels=np.arange(count), normalize=False
    )
    method = f"share of photos whose label is among the {answers.top_k} most probable classes"
    return _proportion(int(right), len(answers.targets), method)


def _baseline_majority(answers: Answers) -> Metric | None:
    return baseline(answers.train_labels, answers.labels) if answers.train_labels else None


METRICS: tuple[MetricRow, ...] = (
    MetricRow(key="accuracy", title="Accuracy", better="higher", compute=_accuracy),
    MetricRow(key="balanced_accuracy", title="Balanced accuracy", better="higher", compute=_balanced_accuracy),
    MetricRow(key="macro_f1", title="Macro-F1", better="higher", compute=_macro_f1),
    MetricRow(key="log_loss", title="Log-loss", better="lower", compute=_log_loss),
    MetricRow(key="top_{k}_accuracy", title="Top-{k} accuracy", better="higher", compute=_top_k_accuracy),
    MetricRow(key="baseline_majority", title="Most frequent class", better="higher", compute=_baseline_majority),
)


def _proportion(right: int, n: int, method: str) -> Metric:
    low, high = wilson(right, n)
    return Metric(value=right / n, n=n, method=f"{method}; Wilson interval", ci_low=low, ci_high=high)


def _with_interval(value: float, answers: Answers, method: str, interval: Interval | None) -> Metric:
    low, high = interval or (None, None)
    known = "; stratified bootstrap interval" if interval else ""
    return Metric(value=float(value), n=len(answers.targets), method=method + known, ci_low=low, ci_high=high)
