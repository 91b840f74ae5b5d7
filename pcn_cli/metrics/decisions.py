"""Metrics of the most probable class alone: what the confusion matrix says."""

from collections.abc import Callable

import numpy as np
from sklearn.metrics import accuracy_score, f1_score, recall_score

from pcn_cli.metrics.inputs import Answers
from pcn_cli.metrics.intervals import Floats, wilson_of_counts
from pcn_cli.metrics.measured import proportion, with_interval
from pcn_cli.records.metrics import Metric


def accuracy(answers: Answers) -> Metric:
    """The share of right answers."""
    right = int(accuracy_score(answers.targets, answers.predicted, normalize=False))
    return proportion(right, answers.targets.size, "share of photos whose most probable class is the label")


def balanced_accuracy(answers: Answers) -> Metric:
    """The mean recall over the classes with photos."""
    # recall_score is balanced accuracy without the warning about predicted classes that have no photos.
    value = recall_score(answers.targets, answers.predicted, labels=answers.measured, average="macro", zero_division=0)

    def statistic(right: Floats, _: Floats) -> Floats:
        return np.asarray((right[:, answers.measured] / answers.support[answers.measured]).mean(axis=1))

    return _counted(value, answers, "mean recall of the classes with photos", statistic)


def macro_f1(answers: Answers) -> Metric:
    """The mean F1 over the classes with photos."""
    value = f1_score(answers.targets, answers.predicted, labels=answers.measured, average="macro", zero_division=0)

    def statistic(right: Floats, predicted: Floats) -> Floats:
        own = answers.support[answers.measured]
        return np.asarray((2 * right[:, answers.measured] / (own + predicted[:, answers.measured])).mean(axis=1))

    return _counted(value, answers, "mean F1 of the classes with photos", statistic)


def matthews(answers: Answers) -> Metric:
    """Matthews' correlation of labels and answers; 0 is guessing, 1 is perfect."""

    def statistic(right: Floats, predicted: Floats) -> Floats:
        n, own = float(answers.targets.size), answers.support
        together = right.sum(axis=1) * n - predicted @ own
        spread = np.sqrt((n**2 - (predicted**2).sum(axis=1)) * (n**2 - (own**2).sum()))
        return np.asarray(np.divide(together, spread, out=np.zeros_like(together), where=spread > 0))

    # scikit-learn's own warns where all labels and answers are of one class.
    value = float(
        statistic(np.diag(answers.matrix)[None].astype(float), answers.matrix.sum(axis=0)[None].astype(float))[0]
    )
    return _counted(
        value, answers, "Matthews correlation of labels and answers, −1 to 1, 0 for guessing", statistic, lowest=-1
    )


def _counted(
    value: float, answers: Answers, method: str, statistic: Callable[[Floats, Floats], Floats], *, lowest: float = 0.0
) -> Metric:
    interval = wilson_of_counts(answers.matrix, statistic, lowest=lowest)
    return with_interval(value, answers, method, interval, kind="Wilson's effective-sample")
