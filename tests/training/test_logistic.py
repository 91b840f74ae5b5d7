"""Logistic regression on features: the baseline beside the probe."""

import numpy as np

from pcn_cli.training.logistic import logistic_baseline


def test_the_baseline_finds_what_is_there_and_knows_absent_classes() -> None:
    rng = np.random.default_rng(0)
    targets = np.arange(90) % 3
    features = rng.normal(size=(90, 6)).astype(np.float32)
    features[np.arange(90), targets] += 3
    part = slice(0, 60), slice(60, 75), slice(75, 90)
    baseline = logistic_baseline(
        features[part[0]],
        np.where(targets[part[0]] == 2, 3, targets[part[0]]),
        val_features=features[part[1]],
        val_targets=targets[part[1]],
        features=features[part[2]],
        classes=4,
    )
    assert baseline.probabilities.shape == (15, 4)
    np.testing.assert_allclose(baseline.probabilities.sum(axis=1), 1.0)
    assert np.all(baseline.probabilities[:, 2] == 0)
    right = baseline.probabilities.argmax(1) == np.where(targets[part[2]] == 2, 3, targets[part[2]])
    assert right.mean() > 0.8


def test_a_baseline_of_one_class_is_certain_of_it() -> None:
    ones = np.ones((4, 2), dtype=np.float32)
    baseline = logistic_baseline(
        ones, np.full(4, 1), val_features=ones, val_targets=np.full(4, 1), features=ones, classes=3
    )
    assert baseline.probabilities.tolist() == [[0.0, 1.0, 0.0]] * 4


def test_the_baseline_of_several_labels_decides_each_and_knows_classes_that_all_or_none_have() -> None:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, (120, 4))
    targets[:, 2], targets[:, 3] = 0, 1
    features = (rng.normal(size=(120, 6)) + np.pad(3 * targets, ((0, 0), (0, 2)))).astype(np.float32)
    baseline = logistic_baseline(
        features[:80], targets[:80], val_features=features[80:100], val_targets=targets[80:100],
        features=features[100:], classes=4,
    )  # fmt: skip
    assert baseline.probabilities[:, 2:].tolist() == [[0.0, 1.0]] * 20
    assert ((baseline.probabilities[:, :2] >= 0.5) == targets[100:, :2]).mean() > 0.85
