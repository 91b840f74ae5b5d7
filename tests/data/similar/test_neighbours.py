"""Photos that a network cannot tell apart are found where they are far closer than others, and only there."""

import numpy as np
import pytest

from pcn_cli.data.similar import neighbours
from pcn_cli.data.similar.neighbours import find_neighbours

TARGETS = np.arange(200) % 4
GROUPS = np.arange(200)


def make_features(noise: float = 0.05, seed: int = 0) -> np.ndarray:
    """Four classes of features; photos 8 and 12, of one class, and 9 and 13, of another, are two of one scene each."""
    rng = np.random.default_rng(seed)
    features = rng.normal(0, 1, (200, 32)) + 2 * rng.normal(0, 1, (4, 32))[TARGETS]
    for first in (8, 9):
        features[first + 4] = features[first] + rng.normal(0, noise, 32)
    return features.astype(np.float32)


@pytest.mark.parametrize("rows", [7, 512])
def test_pairs_of_one_scene_are_found_the_closest_first(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "_ROWS", rows)
    features = make_features()
    features[13] = features[9] + 0.01 * features[0]
    assert find_neighbours(features, TARGETS, GROUPS) == [(9, 13), (8, 12)]


def test_photos_that_are_merely_of_one_class_are_not_named() -> None:
    for seed in range(5):
        assert find_neighbours(make_features(noise=1.5, seed=seed), TARGETS, GROUPS) == []


def test_what_is_known_to_belong_together_is_not_named_again() -> None:
    groups = GROUPS.copy()
    groups[12] = groups[8]
    assert find_neighbours(make_features(), TARGETS, groups) == [(9, 13)]


def test_where_classes_are_as_close_as_scenes_nothing_is_named() -> None:
    features = make_features()
    features[101] = features[100] + 0.01 * features[0]  # of two classes: this network sees no difference
    assert find_neighbours(features, TARGETS, GROUPS) == []


def test_few_photos_and_too_many_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    features = make_features()
    assert find_neighbours(features[8:18], TARGETS[8:18], GROUPS[8:18]) == []
    monkeypatch.setattr(neighbours, "MOST_PHOTOS", 199)
    assert find_neighbours(features, TARGETS, GROUPS) == []
