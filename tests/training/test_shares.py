"""Shares of the training photos: each photo once in every row of them, nested, classes even, groups whole."""

import numpy as np
import pytest

from pcn_cli.training.shares import FEWEST, count_photos, divide_shares

TARGETS = np.repeat([0, 1, 2], [80, 41, 19])
SINGLES = np.arange(140)


def test_every_row_of_shares_holds_each_photo_once() -> None:
    shares = divide_shares(TARGETS, SINGLES, seed=0)

    assert list(shares) == [1, 2, 4, 8]
    for draws, own in shares.items():
        assert len(own) == draws
        assert sorted(np.concatenate(own)) == list(range(140))
        sizes = [places.size for places in own]
        assert max(sizes) - min(sizes) <= 2


def test_a_share_is_half_of_one_of_before() -> None:
    shares = divide_shares(TARGETS, SINGLES, seed=0)

    for draws in (2, 4, 8):
        for number, places in enumerate(shares[draws]):
            assert set(places) < set(shares[draws // 2][number // 2])


def test_classes_are_as_frequent_in_every_share_as_in_all() -> None:
    for draws, own in divide_shares(TARGETS, SINGLES, seed=0).items():
        counts = np.array([count_photos(TARGETS, places) for places in own])
        assert (np.abs(counts - np.array([80, 41, 19]) / draws) < 1.01).all()


def test_the_same_seed_gives_the_same_shares() -> None:
    first, again, other = (divide_shares(TARGETS, SINGLES, seed=seed)[8] for seed in (3, 3, 4))

    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_photos_of_one_group_stay_together() -> None:
    groups = SINGLES // 3

    for own in divide_shares(TARGETS, groups, seed=0).values():
        held = [set(groups[places]) for places in own]
        assert sum(map(len, held)) == len(set(groups))


@pytest.mark.parametrize(
    ("fewest", "rows"), [(1, [1]), (3, [1]), (4, [1, 2]), (8, [1, 2, 4]), (15, [1, 2, 4]), (16, [1, 2, 4, 8])]
)
def test_shares_end_before_one_has_too_few_photos_of_a_class(fewest: int, rows: list[int]) -> None:
    targets = np.repeat([0, 1], [50, fewest])

    shares = divide_shares(targets, np.arange(targets.size), seed=0)

    assert list(shares) == rows
    assert all(count_photos(targets, places).min() >= FEWEST for places in shares[rows[-1]]) or rows == [1]


def test_copies_that_stay_together_are_no_two_halves() -> None:
    assert list(divide_shares(np.zeros(16, dtype=np.int64), np.zeros(16, dtype=np.int64), seed=0)) == [1]
    groups = np.where(SINGLES < 121, SINGLES, 121)  # all photos of one class are one picture
    assert list(divide_shares(TARGETS, groups, seed=0)) == [1]


def test_of_several_labels_the_rare_ones_are_spread_and_labels_that_nobody_has_do_not_count() -> None:
    rng = np.random.default_rng(0)
    targets = (rng.random((300, 5)) < (0.6, 0.4, 0.3, 0.0, 0.08)).astype(np.int64)

    shares = divide_shares(targets, np.arange(300), seed=0)

    assert list(shares) == [1, 2, 4, 8]
    rare = [int(targets[places, 4].sum()) for places in shares[8]]
    assert max(rare) - min(rare) <= 1
    assert count_photos(targets, shares[8][0]).size == 4
