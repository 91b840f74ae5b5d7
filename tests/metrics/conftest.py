"""Drawn test parts: photos with any of four labels and a model that is rather too sure, and flowers with one each."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.special import expit, softmax

from pcn_cli.metrics.inputs import MultiLabel
from pcn_cli.records.model import Calibration, ConformalLevel, ModelConfig, Preprocessing, Selection
from pcn_cli.records.photos import join_labels

CLASSES = ("a", "b", "c", "d")


def draw_several(rng: np.random.Generator, n: int) -> MultiLabel:
    """n photos; labels that go together, as labels do."""
    kind = rng.normal(size=(n, 1))
    truths = rng.random((n, 4)) < expit(np.array([0.0, -0.7, -1.2, -2.2]) + kind)
    probabilities = expit(3.2 * (2.4 * truths - 1.4 + rng.normal(0, 1, (n, 4))))
    labels = [join_labels(name for name, own in zip(CLASSES, row, strict=True) if own) for row in truths]
    return MultiLabel(
        labels, probabilities, CLASSES, cuts=(0.4, 0.5, 0.5, 0.6), seed=int(rng.integers(2**31)), train_labels=labels
    )


@pytest.fixture
def draw() -> Callable[[np.random.Generator, int], MultiLabel]:
    return draw_several


FLOWERS = ("daisy", "roses", "tulips")


@pytest.fixture
def calibrated() -> ModelConfig:
    """A model with a temperature, a threshold and sets of 90 %; for sets of 95 % it had too few photos."""
    return ModelConfig(
        architecture="nano",
        classes=FLOWERS,
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
    """Labels and probabilities of 300 photos of flowers."""
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 3, 300)
    logits = rng.normal(0, 1, (300, 3)) + 2 * np.eye(3)[targets]
    return [FLOWERS[label] for label in targets], softmax(logits, axis=1)
