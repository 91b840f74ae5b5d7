from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from pcn_cli.metrics import intervals
from pcn_cli.metrics import measure as rows
from pcn_cli.metrics.definitions import METRICS, macro_f1_of
from pcn_cli.metrics.inputs import model_inputs
from pcn_cli.metrics.measure import measure_calibration, measure_folds
from pcn_cli.records.metrics import ClassRow, Metric
from pcn_cli.records.model import Calibration, ClassThreshold, ModelConfig, Preprocessing, Selection
from pcn_cli.records.predictions import FoldAnswer

KNOWN = (
    "mean_average_precision",
    "macro_f1",
    "micro_f1",
    "exact_match",
    "hamming_loss",
    "log_loss",
    "brier",
    "roc_auc",
)


WOODS = ("ash", "elm", "oak")


def measure(labels, probabilities, config, **given) -> dict[str, Metric]:
    return rows.measure(model_inputs(labels, probabilities, config, **given))


def per_class(labels, probabilities, config) -> tuple[ClassRow, ...]:
    return rows.per_class(model_inputs(labels, probabilities, config))


def config_of(answers, cuts=(0.4, 0.5, 0.5, 0.6)):
    thresholds = tuple(
        ClassThreshold(label=name, threshold=cut) for name, cut in zip(answers.classes, cuts, strict=True)
    )
    preprocessing = Preprocessing(height=32, width=32)
    return ModelConfig(
        architecture="x", classes=answers.classes, preprocessing=preprocessing, multi_label=True, thresholds=thresholds
    )


@pytest.mark.parametrize("seed", range(3))
def test_every_value_is_scikit_learns(draw, seed):
    answers = draw(np.random.default_rng(seed), 150)
    found = measure(answers.labels, answers.probabilities, config_of(answers), train_labels=answers.labels)
    truths, decided, p = answers.truths, answers.decided, answers.probabilities
    expected = {
        "mean_average_precision": sklearn_metrics.average_precision_score(truths, p),
        "macro_f1": sklearn_metrics.f1_score(truths, decided, average="macro"),
        "micro_f1": sklearn_metrics.f1_score(truths, decided, average="micro"),
        "exact_match": sklearn_metrics.accuracy_score(truths, decided),
        "hamming_loss": sklearn_metrics.hamming_loss(truths, decided),
        "log_loss": np.mean([sklearn_metrics.log_loss(own, q) for own, q in zip(truths.T, p.T, strict=True)]),
        "brier": np.mean([sklearn_metrics.brier_score_loss(own, q) for own, q in zip(truths.T, p.T, strict=True)]),
        "roc_auc": sklearn_metrics.roc_auc_score(truths, p),
        "baseline_prior_average_precision": truths.mean(axis=0).mean(),
    }
    assert {name: found[name].value for name in expected} == pytest.approx(expected)
    assert macro_f1_of(truths, decided) == pytest.approx(expected["macro_f1"])
    for name, metric in found.items():
        assert metric.n == 150, name
        assert name == "ece" or metric.ci_low < metric.value < metric.ci_high, name
        assert " stratified" not in metric.method


def test_every_metric_is_measured_where_it_can_be(draw):
    answers = draw(np.random.default_rng(0), 50)
    config = replace(config_of(answers), temperature=1.5)
    found = measure(answers.labels, answers.probabilities, config, train_labels=answers.labels)
    assert set(found) == {row.key for row in METRICS if row.multi or row.both}
    assert list(found) == [
        "mean_average_precision",
        "macro_f1",
        "micro_f1",
        "exact_match",
        "hamming_loss",
        "log_loss",
        "log_loss_untempered",
        "brier",
        "ece",
        "roc_auc",
        "baseline_majority_set",
        "baseline_prior_average_precision",
        "baseline_prior_log_loss",
    ]
    few = measure(["", ""], answers.probabilities[:2], config)
    assert few["exact_match"].n == 2
    assert not {"mean_average_precision", "macro_f1", "micro_f1", "baseline_majority_set"} & set(few)


def test_the_table_of_classes_agrees_and_knows_what_cannot_be_judged(draw):
    answers = draw(np.random.default_rng(0), 100)
    rows = per_class(answers.labels, answers.probabilities, config_of(answers))
    precision, recall, f1, support = sklearn_metrics.precision_recall_fscore_support(answers.truths, answers.decided)
    for place, row in enumerate(rows):
        own = (row.precision, row.recall, row.f1, row.support)
        assert own == pytest.approx((precision[place], recall[place], f1[place], support[place]))
        area = sklearn_metrics.average_precision_score(answers.truths[:, place], answers.probabilities[:, place])
        assert row.average_precision == pytest.approx(area)
    (row, *_) = per_class(["b", "b"], np.array([[0.1, 0.9, 0.1, 0.1]] * 2), config_of(answers))
    assert (row.precision, row.recall, row.f1, row.average_precision, row.support) == (None, None, None, None, 0)


def test_one_class_that_some_photos_have_is_enough():
    preprocessing = Preprocessing(height=32, width=32)
    config = ModelConfig(architecture="x", classes=("a",), preprocessing=preprocessing, multi_label=True)
    found = measure(["a", "", "a", ""], np.array([[0.9], [0.2], [0.4], [0.1]]), config)
    assert found["mean_average_precision"].value == 1
    assert found["macro_f1"].value == found["micro_f1"].value == pytest.approx(2 / 3)
    assert found["exact_match"].value == 0.75


def shares_held(draw, *, n, draws):
    """The share of drawn test parts whose 95 % interval holds the population's value, by metric."""
    rng = np.random.default_rng(n)
    rows = {row.key: row for row in METRICS if row.key in KNOWN}
    with patch.object(intervals, "RESAMPLES", 2):  # only the value counts here
        everyone = draw(rng, 200_000)
        truth = {name: row.measure(everyone).value for name, row in rows.items()}
    held = dict.fromkeys(rows, 0)
    for _ in range(draws):
        answers = draw(rng, n)
        for name, row in rows.items():
            metric = row.measure(answers)
            held[name] += metric.ci_low <= truth[name] <= metric.ci_high
    return {name: count / draws for name, count in held.items()}


@pytest.mark.slow
@pytest.mark.parametrize("n", [200, 1000])
def test_every_interval_of_several_labels_holds_the_truth_in_92_to_98_of_100_draws(draw, n):
    shares = shares_held(draw, n=n, draws=1000)
    assert set(shares) == set(KNOWN)
    assert {name: share for name, share in shares.items() if not 0.92 <= share <= 0.98} == {}


def test_threshold_and_sets_are_measured_on_the_photos_at_hand(measured, calibrated) -> None:
    labels, probabilities = measured
    right = np.array(labels) == np.array(calibrated.classes)[probabilities.argmax(axis=1)]
    given = probabilities.max(axis=1) >= 0.7

    metrics = measure_calibration(model_inputs(labels, probabilities, calibrated), calibrated)

    assert metrics["temperature"].value == 2
    assert "40 of 80 validation photos, whose log-loss it took from 0.6123 to 0.5000" in metrics["temperature"].method
    assert metrics["threshold_coverage"].value == given.mean()
    assert metrics["threshold_accuracy"].value == right[given].mean()
    assert metrics["threshold_accuracy"].n == given.sum()
    assert metrics["threshold_validation_coverage"].value == 60 / 80
    assert metrics["threshold_validation_accuracy"].value == 55 / 60
    assert metrics["threshold_validation_accuracy"].ci_low is None
    sizes = (probabilities >= 0.2).sum(axis=1)
    size = metrics["conformal_90_set_size"]
    assert size.value == pytest.approx(sizes.mean())
    assert size.ci_low < size.value < size.ci_high
    assert metrics["conformal_90_empty"].value == 0
    assert not any(name.startswith("conformal_95") for name in metrics)


def test_what_was_not_calibrated_is_not_measured(measured, calibrated) -> None:
    bare = replace(calibrated, temperature=1.0, calibration=None, selection=None, conformal=())
    assert measure_calibration(model_inputs(*measured, bare), bare) == {}

    few = replace(bare, calibration=Calibration(validation_photos=9, photos=0), selection=Selection(target=1, photos=9))
    metrics = measure_calibration(model_inputs(*measured, few), few)
    assert list(metrics) == ["temperature"]
    assert metrics["temperature"].method == "1, not fitted: 9 validation photos are too few"


def test_a_threshold_that_nothing_reaches_here_has_no_accuracy(measured, calibrated) -> None:
    strict = replace(calibrated, selection=Selection(target=0.9, photos=80, threshold=1.0, answered=10, right=10))

    metrics = measure_calibration(model_inputs(*measured, strict), strict)

    assert metrics["threshold_coverage"].value == 0
    assert "threshold_accuracy" not in metrics


def test_folds_are_measured_together_and_their_spread_apart() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet((1, 1, 1), 30)
    labels = [WOODS[k] for k in np.where(rng.random(30) < 0.7, p.argmax(axis=1), rng.integers(0, 3, 30))]
    predicted = [WOODS[k] for k in p.argmax(axis=1)]
    answers = [
        FoldAnswer(file=f"{n}.jpg", label=labels[n], fold=n % 3 + 1, predicted=predicted[n], probabilities=tuple(p[n]))
        for n in range(30)
    ]
    metrics = measure_folds(answers, WOODS)
    own = metrics["cross_validated_accuracy"]
    assert own.value == sklearn_metrics.accuracy_score(labels, predicted)
    assert (own.ci_low, own.ci_high) == intervals.wilson(round(30 * own.value), 30)
    assert metrics["cross_validated_macro_f1"].value == pytest.approx(
        sklearn_metrics.f1_score(labels, predicted, average="macro")
    )
    assert metrics["cross_validated_log_loss"].value == pytest.approx(sklearn_metrics.log_loss(labels, p, labels=WOODS))
    shares = [sklearn_metrics.accuracy_score(labels[fold::3], predicted[fold::3]) for fold in range(3)]
    spread = metrics["cross_validated_accuracy_spread"]
    assert spread.value == pytest.approx(np.std(shares, ddof=1))
    assert f"from {min(shares):.1%} to {max(shares):.1%}" in spread.method
    assert {metric.n for metric in metrics.values()} == {30}
    assert all(metric.method.startswith("3 folds of the probe, 30 photos: ") for metric in metrics.values())


def test_without_folds_there_are_no_figures() -> None:
    assert measure_folds((), WOODS) == {}
