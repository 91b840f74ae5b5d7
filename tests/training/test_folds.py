"""Folds keep together what belongs together, and nobody is answered by what learned from him."""

import numpy as np

from pcn_cli.training.folds import answer_folds, count_learned, divide_folds, most_folds

TARGETS = np.repeat([0, 1, 2], [40, 20, 3])
UNITS = np.arange(63)
UNITS[:6] = 0  # six photos of one thing
UNITS[41] = UNITS[2] = 0  # and two more, one of another class


def test_units_stay_in_one_fold_and_classes_are_spread() -> None:
    folds = divide_folds(TARGETS, UNITS, folds=5, seed=1)
    assert sorted(np.concatenate([fold.answer for fold in folds])) == list(range(63))
    for fold in folds:
        assert not set(UNITS[fold.learn]) & set(UNITS[fold.answer])
        assert set(fold.learn) | set(fold.answer) == set(range(63))
        counts = np.bincount(TARGETS[fold.answer], minlength=3)
        assert abs(counts[0] - 8) <= 2
        assert abs(counts[1] - 4) <= 2


def test_the_same_seed_gives_the_same_folds() -> None:
    first, again, other = (divide_folds(TARGETS, UNITS, folds=4, seed=seed) for seed in (3, 3, 4))
    assert all(np.array_equal(a.answer, b.answer) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a.answer, b.answer) for a, b in zip(first, other, strict=True))


def test_answers_come_back_in_the_order_of_the_photos() -> None:
    folds = divide_folds(TARGETS, UNITS, folds=5, seed=0)
    answered = answer_folds(folds, lambda fold: np.stack([fold.answer, 0 * fold.answer + len(fold.learn)], axis=1))
    assert answered[:, 0].tolist() == list(range(63))
    assert set(answered[:, 1]) <= {len(fold.learn) for fold in folds}


def test_how_many_of_its_class_a_model_learned_from_is_counted() -> None:
    folds = divide_folds(TARGETS, UNITS, folds=5, seed=0)
    counts = count_learned(folds, TARGETS)
    for fold in folds:
        for place in fold.answer:
            assert counts[place] == (TARGETS[fold.learn] == TARGETS[place]).sum()
    assert counts[60:].max() == 2


def test_a_class_has_as_many_folds_as_units() -> None:
    assert most_folds(TARGETS, UNITS) == 35  # 40 photos, six of which are one
    assert most_folds(np.zeros(8, dtype=np.int64), np.zeros(8, dtype=np.int64)) == 1
