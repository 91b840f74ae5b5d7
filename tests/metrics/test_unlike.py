import numpy as np
import pytest

from pcn_cli.metrics.unlike import Learned, draw_evenly, nearest_distances, unit_length


def cloud(count, *, seed, centre=0, channels=24):
    """Features around a direction of their own."""
    return (np.random.default_rng(seed).normal(0, 1, (count, channels)) + 4 * np.eye(channels)[centre]).astype("f4")


def learn(*, val=200):
    return Learned.of(cloud(300, seed=0), cloud(val, seed=1), ["a", "b", "c"] * 100, seed=0)


def test_another_direction_is_unlike_and_a_twentieth_of_the_own_photos_is():
    learned = learn()
    assert (learned.unlike(cloud(300, seed=2, centre=9)) > 1).mean() > 0.95
    shares = [(learned.unlike(cloud(200, seed=seed)) > 1).mean() for seed in range(3, 23)]
    assert 0.02 < np.mean(shares) < 0.08


def test_too_few_validation_photos_bound_nothing():
    assert learn(val=18).unlike(cloud(3, seed=2)) is None
    assert learn(val=19).unlike(cloud(3, seed=2)) is not None


def test_the_distance_is_that_to_the_five_nearest_whatever_the_length():
    known = unit_length(cloud(40, seed=0))
    one = unit_length(7 * cloud(1, seed=1))
    expected = np.sort(1 - known @ one[0])[:5].mean()
    assert nearest_distances(one, known)[0] == pytest.approx(expected, abs=1e-6)
    assert nearest_distances(known[:0], known).shape == (0,)


def test_of_uneven_classes_the_small_ones_are_kept_whole():
    labels = ["rare"] * 4 + ["often"] * 60
    kept = draw_evenly(labels, most=12, seed=0)
    assert [labels[place] for place in kept].count("rare") == 4
    assert len(kept) == 12
    assert sorted(kept.tolist()) == kept.tolist() == sorted(set(kept.tolist()))
    assert draw_evenly(labels, most=64, seed=0).tolist() == list(range(64))
