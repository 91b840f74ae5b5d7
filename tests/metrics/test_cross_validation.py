"""The figures of all folds are those of their answers taken together."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, log_loss

from pcn_cli.metrics.cross_validation import measure_folds
from pcn_cli.metrics.intervals import wilson
from pcn_cli.records.predictions import FoldAnswer

CLASSES = ("ash", "elm", "oak")


def test_folds_are_measured_together_and_their_spread_apart() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet((1, 1, 1), 30)
    labels = [CLASSES[k] for k in np.where(rng.random(30) < 0.7, p.argmax(axis=1), rng.integers(0, 3, 30))]
    predicted = [CLASSES[k] for k in p.argmax(axis=1)]
    answers = [
        FoldAnswer(file=f"{n}.jpg", label=labels[n], fold=n % 3 + 1, predicted=predicted[n], probabilities=tuple(p[n]))
        for n in range(30)
    ]
    metrics = measure_folds(answers, CLASSES)
    own = metrics["cross_validated_accuracy"]
    assert own.value == accuracy_score(labels, predicted)
    assert (own.ci_low, own.ci_high) == wilson(round(30 * own.value), 30)
    assert metrics["cross_validated_macro_f1"].value == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert metrics["cross_validated_log_loss"].value == pytest.approx(log_loss(labels, p, labels=CLASSES))
    shares = [accuracy_score(labels[fold::3], predicted[fold::3]) for fold in range(3)]
    spread = metrics["cross_validated_accuracy_spread"]
    assert spread.value == pytest.approx(np.std(shares, ddof=1))
    assert f"from {min(shares):.1%} to {max(shares):.1%}" in spread.method
    assert {metric.n for metric in metrics.values()} == {30}
    assert all(metric.method.startswith("3 folds of the probe, 30 photos: ") for metric in metrics.values())


def test_without_folds_there_are_no_figures() -> None:
    assert measure_folds((), CLASSES) == {}
