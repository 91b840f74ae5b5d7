from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from pcn_cli.metrics import intervals
from pcn_cli.metrics.multi_label.calibration import choose_thresholds
from pcn_cli.metrics.multi_label.table import METRICS, gather_curves, macro_f1_value, measure, per_class
from pcn_cli.records.calibration import ClassThreshold
from pcn_cli.records.model import ModelConfig, Preprocessing

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
    assert macro_f1_value(truths, decided) == pytest.approx(expected["macro_f1"])
    for name, metric in found.items():
        assert metric.n == 150, name
        assert name == "ece" or metric.ci_low < metric.value < metric.ci_high, name
        assert " stratified" not in metric.method


def test_every_metric_is_measured_where_it_can_be(draw):
    answers = draw(np.random.default_rng(0), 50)
    config = replace(config_of(answers), temperature=1.5)
    found = measure(answers.labels, answers.probabilities, config, train_labels=answers.labels)
    assert list(found) == [row.key for row in METRICS]
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


def test_curves_are_of_the_classes_that_can_be_ranked(draw):
    answers = draw(np.random.default_rng(0), 60)
    config = replace(
        config_of(answers), thresholds=choose_thresholds(answers.probabilities, answers.truths, answers.classes)
    )
    curves = gather_curves(answers.labels, answers.probabilities, config)
    assert set(curves.roc) == set(curves.precision_recall) == set(answers.classes)
    assert sum(one.photos for one in curves.after) == 60 * 4
    assert curves.coverage is None
    assert curves.thresholds == config.thresholds


def shares_held(draw, *, n, draws):
    """The share of drawn test parts whose 95 % interval holds the population's value, by metric."""
    rng = np.random.default_rng(n)
    rows = {row.key: row for row in METRICS if row.key in KNOWN}
    with patch.object(intervals, "RESAMPLES", 2):  # only the value counts here
        everyone = draw(rng, 200_000)
        truth = {name: row.compute(everyone).value for name, row in rows.items()}
    held = dict.fromkeys(rows, 0)
    for _ in range(draws):
        answers = draw(rng, n)
        for name, row in rows.items():
            metric = row.compute(answers)
            held[name] += metric.ci_low <= truth[name] <= metric.ci_high
    return {name: count / draws for name, count in held.items()}


@pytest.mark.slow
@pytest.mark.parametrize("n", [200, 1000])
def test_every_interval_of_several_labels_holds_the_truth_in_92_to_98_of_100_draws(draw, n):
    shares = shares_held(draw, n=n, draws=1000)
    assert set(shares) == set(KNOWN)
    assert {name: share for name, share in shares.items() if not 0.92 <= share <= 0.98} == {}
