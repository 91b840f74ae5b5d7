"""A drawn test part: photos with any of four labels, the last one rare, and a model that is rather too sure."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.special import expit

from pcn_cli.metrics.inputs import MultiLabel
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
