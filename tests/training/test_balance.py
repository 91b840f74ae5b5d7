"""Uneven classes weigh the same, or come equally often, and an epoch is a function of seed and epoch."""

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from pcn_cli.training.balance import class_weights, even_order

TARGETS = np.repeat([0, 1, 3], [40, 15, 5])  # class 2 has no photo


def test_the_weights_are_scikit_learn_s_and_the_photos_weigh_1_in_the_mean() -> None:
    weights = class_weights(TARGETS, 5)
    expected = compute_class_weight("balanced", classes=np.array([0, 1, 3]), y=TARGETS)
    assert np.take(weights, [0, 1, 3]) == pytest.approx(expected)
    assert (weights[2], weights[4]) == (0.0, 0.0)
    assert np.take(weights, TARGETS).mean() == pytest.approx(1.0)


def test_even_classes_weigh_the_same() -> None:
    assert class_weights(np.arange(12) % 3, 3) == (1.0, 1.0, 1.0)


def test_classes_come_equally_often_and_no_photo_long_before_another() -> None:
    order = even_order(TARGETS, 7, 3)
    assert np.bincount(TARGETS[order]).tolist() == [20, 20, 0, 20]
    times = np.bincount(order, minlength=60)
    assert set(times[:40]) == {0, 1}
    assert set(times[40:55]) == {1, 2}
    assert set(times[55:]) == {4}


def test_the_order_is_a_function_of_seed_and_epoch_and_large_classes_take_turns() -> None:
    first = even_order(TARGETS, 7, 3)
    assert np.array_equal(first, even_order(TARGETS, 7, 3))
    assert not np.array_equal(first, even_order(TARGETS, 8, 3))
    assert len(set(np.concatenate([even_order(TARGETS, 7, epoch) for epoch in range(12)]).tolist())) == 60


def test_what_is_left_over_goes_to_classes_in_turn() -> None:
    targets = np.repeat([0, 1, 2], [7, 2, 2])
    counts = {tuple(np.bincount(targets[even_order(targets, 0, epoch)])) for epoch in range(20)}
    assert counts == {(4, 4, 3), (4, 3, 4), (3, 4, 4)}
