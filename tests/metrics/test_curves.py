import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import auc, average_precision_score, roc_auc_score

from pcn_cli.metrics import curves as ranking
from pcn_cli.metrics.calibration import choose_thresholds, temper
from pcn_cli.metrics.curves import gather_curves
from pcn_cli.metrics.inputs import model_inputs
from pcn_cli.records.codec import from_plain, to_plain
from pcn_cli.records.evaluation import Curves
from pcn_cli.records.model import ModelConfig, Preprocessing


def draw_scores(n: int, *, ties: bool) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n)
    own = rng.random(n) < 0.3
    scores = rng.normal(0, 1, n) + own
    return (np.round(scores) if ties else scores), own


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(
    ("influence", "measure"),
    [
        (ranking.average_precision_influence, average_precision_score),
        (ranking.roc_area_influence, roc_auc_score),
    ],
)
def test_the_influence_is_what_a_little_more_of_a_photo_changes(influence, measure, ties: bool) -> None:
    scores, own = draw_scores(40, ties=ties)
    by_formula = influence(scores, own)
    for photo in range(0, 40, 7):
        weights = np.ones(40)
        weights[photo] += 1e-6
        step = (measure(own, scores, sample_weight=weights) - measure(own, scores)) / 1e-6
        assert by_formula[photo] == pytest.approx(step, abs=1e-4)


@pytest.mark.parametrize("n", [10, 5000])
def test_thinned_curves_have_at_most_200_points_and_keep_their_area(n: int) -> None:
    scores, own = draw_scores(n, ties=False)

    roc, pr = ranking.roc_points(scores, own), ranking.precision_recall_points(scores, own)

    for curve in (roc, pr):
        assert len(curve.x) == len(curve.y) <= 200
        assert (np.diff(curve.x) >= 0).all()
    assert (roc.x[0], roc.y[0], roc.x[-1], roc.y[-1]) == (0, 0, 1, 1)
    assert (pr.x[0], pr.y[0], pr.x[-1]) == (0, 1, 1)
    assert auc(roc.x, roc.y) == pytest.approx(roc_auc_score(own, scores), abs=0.003)


def test_curves_are_kept_whole_by_json(measured, calibrated) -> None:
    labels, probabilities = measured

    curves = gather_curves(model_inputs(labels, temper(probabilities, 2.0), calibrated), calibrated)

    assert from_plain(Curves, json.loads(json.dumps(to_plain(curves)))) == curves
    assert set(curves.roc) == set(curves.precision_recall) == set(calibrated.classes)
    assert curves.coverage.x[-1] == 1
    confidences = np.array([one.confidence for one in curves.before])
    assert confidences.mean() == pytest.approx(probabilities.max(axis=1).mean(), abs=1e-9)
    assert np.mean([one.confidence for one in curves.after]) < confidences.mean()
    assert (curves.selection, curves.conformal) == (calibrated.selection, calibrated.conformal)


def test_photos_of_one_class_have_no_curves_by_class(calibrated) -> None:
    curves = gather_curves(model_inputs(["daisy"] * 4, np.full((4, 3), 1 / 3), calibrated), calibrated)

    assert (curves.roc, curves.precision_recall) == ({}, {})


def test_curves_are_of_the_classes_that_can_be_ranked(draw):
    answers = draw(np.random.default_rng(0), 60)
    config = replace(
        ModelConfig(
            architecture="x",
            classes=answers.classes,
            preprocessing=Preprocessing(height=32, width=32),
            multi_label=True,
        ),
        thresholds=choose_thresholds(answers.probabilities, answers.truths, answers.classes),
    )
    curves = gather_curves(model_inputs(answers.labels, answers.probabilities, config), config)
    assert set(curves.roc) == set(curves.precision_recall) == set(answers.classes)
    assert sum(one.photos for one in curves.after) == 60 * 4
    assert curves.coverage is None
    assert curves.thresholds == config.thresholds
