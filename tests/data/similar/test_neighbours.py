"""Photos that a network cannot tell apart are found where they are far closer than others, and only there."""

import numpy as np
import pytest

from pcn_cli.data.similar import neighbours
from pcn_cli.data.similar.neighbours import draw_projection, find_neighbours

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


def test_few_photos_are_left_alone() -> None:
    assert find_neighbours(make_features()[8:18], TARGETS[8:18], GROUPS[8:18]) == []


def make_many(photos: int = 1_500, numbers: int = 600) -> tuple[np.ndarray, np.ndarray, list[tuple[int, int]]]:
    """Features around 60 subjects of four classes, their targets, and twelve pairs of one scene."""
    rng = np.random.default_rng(1)
    subjects = rng.integers(0, 60, photos)
    features = rng.normal(0, 1, (photos, numbers)) + 1.5 * rng.normal(0, 1, (60, numbers))[subjects]
    pairs = [(place, place + 700) for place in range(0, 600, 50)]
    for first, second in pairs:
        subjects[second] = subjects[first]
        features[second] = features[first] + rng.normal(0, 0.05, numbers)
    return features.astype(np.float32), subjects % 4, pairs


def test_among_many_photos_the_same_pairs_are_found_with_a_part_of_the_comparisons(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    features, targets, pairs = make_many()
    groups = np.arange(len(features))
    assert sorted(find_neighbours(features, targets, groups)) == pairs
    compared = []
    monkeypatch.setattr(neighbours, "MOST_COMPARED", 1_000)
    distances = neighbours._distances

    def count(some: np.ndarray, others: np.ndarray) -> np.ndarray:
        compared.append(len(some) * len(others))
        return distances(some, others)

    monkeypatch.setattr(neighbours, "_distances", count)
    project = draw_projection(*features.shape)
    assert project is not None
    assert project.shape == (600, 512)
    assert sorted(find_neighbours(features @ project, targets, groups)) == pairs
    assert sum(compared) < 0.5 * 2 * len(features) ** 2


def test_every_photo_is_compared_once_with_those_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    features, _, _ = make_many()
    for most in (1_000, 5_000):
        monkeypatch.setattr(neighbours, "MOST_COMPARED", most)
        blocks = list(neighbours._blocks(features / np.linalg.norm(features, axis=1, keepdims=True)))
        assert sorted(np.concatenate([rows for rows, _ in blocks]).tolist()) == list(range(len(features)))
        assert all(set(rows) <= set(columns) for rows, columns in blocks)


def test_a_projection_is_only_for_many_photos_of_many_numbers() -> None:
    assert draw_projection(5_000, 20_480) is None
    assert draw_projection(50_000, 512) is None
