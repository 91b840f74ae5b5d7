"""Folds keep together what belongs together, and nobody is predicted by what learned from him."""

import numpy as np
import pytest
from sklearn.model_selection import StratifiedGroupKFold

from pcn_cli.errors import DataError
from pcn_cli.training.folds import count_learned, divide_folds, most_folds, set_aside

TARGETS = np.repeat([0, 1, 2], [40, 20, 3])
GROUPS = np.arange(63)
GROUPS[:6] = 0  # six photos of one thing
GROUPS[41] = GROUPS[2] = 0  # and two more, one of another class


def test_groups_stay_in_one_fold_and_classes_are_spread() -> None:
    folds = divide_folds(TARGETS, GROUPS, folds=5, seed=1)
    assert sorted(np.concatenate([fold.held_out for fold in folds])) == list(range(63))
    for fold in folds:
        assert not set(GROUPS[fold.learn]) & set(GROUPS[fold.held_out])
        assert set(fold.learn) | set(fold.held_out) == set(range(63))
        counts = np.bincount(TARGETS[fold.held_out], minlength=3)
        assert abs(counts[0] - 8) <= 2
        assert abs(counts[1] - 4) <= 2


def test_the_same_seed_gives_the_same_folds() -> None:
    first, again, other = (divide_folds(TARGETS, GROUPS, folds=4, seed=seed) for seed in (3, 3, 4))
    assert all(np.array_equal(a.held_out, b.held_out) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a.held_out, b.held_out) for a, b in zip(first, other, strict=True))


def test_how_many_of_its_class_a_model_learned_from_is_counted() -> None:
    folds = divide_folds(TARGETS, GROUPS, folds=5, seed=0)
    counts = count_learned(folds, TARGETS)
    for fold in folds:
        for place in fold.held_out:
            assert counts[place] == (TARGETS[fold.learn] == TARGETS[place]).sum()
    assert counts[60:].max() == 2


def test_whole_groups_are_set_aside_of_the_places_alone() -> None:
    for fold in divide_folds(TARGETS, GROUPS, folds=5, seed=0):
        learn, aside = set_aside(fold.learn, TARGETS, GROUPS, share=7, seed=0)
        assert sorted([*learn, *aside]) == sorted(fold.learn)
        assert not set(GROUPS[learn]) & set(GROUPS[aside])
        assert fold.learn.size / 12 < aside.size < fold.learn.size / 4
        assert set(TARGETS[aside]) >= {0, 1}


def test_where_no_photo_may_be_parted_nothing_can_be_set_aside() -> None:
    places = np.array([0, 1, 3, 60])
    with pytest.raises(DataError, match="4 photos outside a fold cannot be divided"):
        set_aside(places, TARGETS, GROUPS, share=7, seed=0)


def test_a_class_has_as_many_folds_as_groups() -> None:
    assert most_folds(TARGETS, GROUPS) == 35  # 40 photos, six of which are one
    assert most_folds(np.zeros(8, dtype=np.int64), np.zeros(8, dtype=np.int64)) == 1


@pytest.mark.parametrize(("photos", "folds"), [(3, 3), (4, 2), (4, 3), (5, 2), (5, 5), (7, 4)])
def test_as_many_photos_as_are_asked_for_leave_two_outside_of_every_fold(photos, folds):
    targets, groups = np.zeros(photos, dtype=np.int64), np.arange(photos)
    for fold in divide_folds(targets, groups, folds=folds, seed=0):
        assert set_aside(fold.learn, targets, groups, share=7, seed=0).learn.size


@pytest.mark.parametrize(("classes", "folds", "together"), [(3, 5, 1), (7, 4, 2), (40, 2, 3), (5, 7, 25)])
def test_they_are_the_folds_of_scikit_learn_without_its_slow_search(
    monkeypatch: pytest.MonkeyPatch, classes: int, folds: int, together: int
) -> None:
    rng = np.random.default_rng(classes)
    targets, groups = rng.integers(0, classes, 400), rng.integers(0, 400 // together, 400)
    known = list(StratifiedGroupKFold(folds, shuffle=True, random_state=2).split(targets, targets, groups))

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("scikit-learn's own search was asked")

    monkeypatch.setattr(StratifiedGroupKFold, "_find_best_fold", refuse)
    for fold, (learn, held_out) in zip(divide_folds(targets, groups, folds=folds, seed=2), known, strict=True):
        np.testing.assert_array_equal(fold.learn, learn)
        np.testing.assert_array_equal(fold.held_out, held_out)
