import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax

from pcn_cli.metrics.calibration import temper
from pcn_cli.metrics.promises import gather_curves, measure_promises
from pcn_cli.records.calibration import Calibration, ConformalLevel, Selection
from pcn_cli.records.codec import from_plain, to_plain
from pcn_cli.records.evaluation import Curves
from pcn_cli.records.model import ModelConfig, Preprocessing

CLASSES = ("daisy", "roses", "tulips")
CONFIG = ModelConfig(
    architecture="nano",
    classes=CLASSES,
    preprocessing=Preprocessing(height=32, width=32),
    temperature=2.0,
    calibration=Calibration(validation_photos=80, photos=40, log_loss_before=0.61234, log_loss_after=0.5),
    selection=Selection(target=0.9, photos=80, threshold=0.7, answered=60, right=55),
    conformal=(
        ConformalLevel(level=0.9, photos=40, least_probability=0.2),
        ConformalLevel(level=0.95, photos=40),
    ),
)


@pytest.fixture
def measured() -> tuple[list[str], np.ndarray]:
    """Labels and probabilities of 300 photos."""
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 3, 300)
    logits = rng.normal(0, 1, (300, 3)) + 2 * np.eye(3)[targets]
    return [CLASSES[label] for label in targets], softmax(logits, axis=1)


def test_threshold_and_sets_are_measured_on_the_photos_at_hand(measured) -> None:
    labels, probabilities = measured
    right = np.array(labels) == np.array(CLASSES)[probabilities.argmax(axis=1)]
    given = probabilities.max(axis=1) >= 0.7

    metrics = measure_promises(labels, probabilities, CONFIG)

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


def test_what_was_not_calibrated_is_not_measured(measured) -> None:
    bare = replace(CONFIG, temperature=1.0, calibration=None, selection=None, conformal=())
    assert measure_promises(*measured, bare) == {}

    few = replace(bare, calibration=Calibration(validation_photos=9, photos=0), selection=Selection(target=1, photos=9))
    metrics = measure_promises(*measured, few)
    assert list(metrics) == ["temperature"]
    assert metrics["temperature"].method == "1, not fitted: 9 validation photos are too few"


def test_a_threshold_that_nothing_reaches_here_has_no_accuracy(measured) -> None:
    strict = replace(CONFIG, selection=Selection(target=0.9, photos=80, threshold=1.0, answered=10, right=10))

    metrics = measure_promises(*measured, strict)

    assert metrics["threshold_coverage"].value == 0
    assert "threshold_accuracy" not in metrics


def test_curves_are_kept_whole_by_json(measured) -> None:
    labels, probabilities = measured

    curves = gather_curves(labels, temper(probabilities, 2.0), CONFIG)

    assert from_plain(Curves, json.loads(json.dumps(to_plain(curves)))) == curves
    assert set(curves.roc) == set(curves.precision_recall) == set(CLASSES)
    assert curves.coverage.x[-1] == 1
    confidences = np.array([one.confidence for one in curves.before])
    assert confidences.mean() == pytest.approx(probabilities.max(axis=1).mean(), abs=1e-9)
    assert np.mean([one.confidence for one in curves.after]) < confidences.mean()
    assert (curves.selection, curves.conformal) == (CONFIG.selection, CONFIG.conformal)


def test_photos_of_one_class_have_no_curves_by_class() -> None:
    curves = gather_curves(["daisy"] * 4, np.full((4, 3), 1 / 3), CONFIG)

    assert (curves.roc, curves.precision_recall) == ({}, {})
