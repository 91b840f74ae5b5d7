import numpy as np
import pytest

from pcn_cli.metrics.intervals import (
    bootstrap_weights,
    hall,
    paired,
    wilson,
    wilson_of_counts,
    wilson_of_share,
)


def test_wilson_agrees_with_its_formula() -> None:
    z, n, p = 1.959963984540054, 450, 412 / 450
    middle, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))

    assert wilson(412, 450) == pytest.approx(((middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)))


@pytest.mark.parametrize("right", [0, 10])
def test_wilson_stays_within_zero_and_one(right: int) -> None:
    low, high = wilson(right, 10)

    assert 0 <= low <= right / 10 <= high <= 1
    assert high - low > 0.2


def test_wilson_of_a_share_is_that_of_its_photos() -> None:
    assert wilson_of_share(412 / 450, 450) == pytest.approx(wilson(412, 450))
    assert wilson_of_share(1.0, 7) == pytest.approx(wilson(7, 7))


def test_the_interval_of_a_paired_difference_agrees_with_its_formula() -> None:
    first, second, n, z = 6, 19, 100, 1.959963984540054  # photos that one side alone has right
    right = np.zeros((2, n))
    right[0, :first], right[1, -second:] = 1, 1
    lone, other = (first + 1) / (n + 2), (second + 1) / (n + 2)
    half = z * np.sqrt((lone + other - (other - lone) ** 2) / (n + 2))

    found = paired((second - first) / n, (right[1] - right[0]) / n)

    assert found == pytest.approx((other - lone - half, other - lone + half))
    assert found[0] > 0


@pytest.mark.parametrize("photos", [3, 200])
def test_where_both_answer_alike_few_photos_say_little_and_many_much(photos: int) -> None:
    low, high = paired(0.0, np.zeros(photos))

    assert low == pytest.approx(-high)
    assert -1 < low < 0
    assert (high > 0.3) == (photos == 3)


def test_wilson_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="n"):
        wilson(0, 0)


def hall_mean(values: np.ndarray, targets: np.ndarray) -> tuple[float, float] | None:
    return hall(values.mean(), values / values.size, targets)


def share_right(right: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    return right.sum(axis=1) / 200


def mean_f1(right: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    return (2 * right / (100 + predicted)).mean(axis=1)


@pytest.mark.parametrize("wrong", [0, 1, 5, 60, 100])
def test_where_mistakes_count_alike_the_interval_is_wilson_s(wrong: int) -> None:
    matrix = np.array([[100 - wrong, wrong], [wrong, 100 - wrong]])

    assert wilson_of_counts(matrix, share_right) == pytest.approx(wilson(200 - 2 * wrong, 200), abs=0.002)


@pytest.mark.parametrize("wrong", [0, 1, 20])
def test_the_mean_f1_of_two_like_classes_is_as_sure_as_their_accuracy(wrong: int) -> None:
    matrix = np.array([[100 - wrong, wrong], [wrong, 100 - wrong]])

    assert wilson_of_counts(matrix, mean_f1) == pytest.approx(wilson(200 - 2 * wrong, 200), abs=0.003)


def test_a_mistake_in_a_small_class_makes_the_interval_wider() -> None:
    def mean_recall(right: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        return (right / [180, 20]).mean(axis=1)

    mistakes = (np.array([[160, 20], [0, 20]]), np.array([[180, 0], [4, 16]]))
    widths = [high - low for low, high in (wilson_of_counts(matrix, mean_recall) for matrix in mistakes)]

    assert widths[1] > 1.5 * widths[0]


def test_a_statistic_that_never_changes_has_no_interval() -> None:
    assert wilson_of_counts(np.diag([5, 5]), lambda right, _: np.full(len(right), 0.5)) is None
    assert hall_mean(np.ones(4), np.zeros(4, dtype=np.int64)) is None
    assert hall_mean(np.repeat([1.0, 2.0], 3), np.repeat([0, 1], 3)) is None
    assert bootstrap_weights(lambda weights: weights.sum(axis=1), np.zeros(4, dtype=np.int64), seed=0) is None


def test_a_range_from_minus_one_is_a_share_that_was_stretched() -> None:
    matrix = np.array([[90, 10], [10, 90]])

    low, high = wilson_of_counts(matrix, lambda right, predicted: 2 * share_right(right, predicted) - 1, lowest=-1)

    assert ((low + 1) / 2, (high + 1) / 2) == pytest.approx(wilson_of_counts(matrix, share_right))


def test_the_interval_of_a_mean_has_the_width_that_theory_gives() -> None:
    values = np.random.default_rng(0).normal(3, 1, 400)

    low, high = hall_mean(values, np.repeat([0, 1], 200))

    assert (low + high) / 2 == pytest.approx(values.mean(), abs=0.01)
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.02)


def test_the_interval_of_skewed_values_reaches_further_up_than_down() -> None:
    values = np.append(np.full(60, 0.1) + np.arange(60) / 1000, 5.0)

    low, high = hall_mean(values, np.zeros(61, dtype=np.int64))

    assert 0 <= low < values.mean() < high
    assert high - values.mean() > 2 * (values.mean() - low)


def test_classes_of_one_photo_are_taken_together() -> None:
    values = np.random.default_rng(0).exponential(1, 40)

    assert hall_mean(values, np.arange(40)) == hall_mean(values, np.zeros(40, dtype=np.int64))


def test_weights_keep_the_sum_of_every_class_and_draw_a_photo_fewer() -> None:
    targets, seen = np.repeat([0, 1, 2], [6, 3, 1]), []

    def statistic(weights: np.ndarray) -> np.ndarray:
        seen.append(weights)
        return weights[:, 0]

    assert bootstrap_weights(statistic, targets, seed=0) is not None
    weights = np.concatenate(seen[:-1])
    assert weights.shape == (2000, 10)
    assert weights[:, :6].sum(axis=1) == pytest.approx(6)
    assert weights[:, 6:9].sum(axis=1) == pytest.approx(3)
    assert (weights[:, 9] == 1).all()
    assert weights.var(axis=0)[:6].mean() == pytest.approx(6 / 5 * 5 / 6, rel=0.05)  # n/(n−1) · (1 − 1/n)


def test_an_area_has_an_interval_that_reaches_further_down_and_stays_within_1() -> None:
    influence = np.append(np.full(47, 0.0002), [-0.003, -0.001, -0.0054])

    low, high = hall(0.99, influence, np.zeros(50, dtype=np.int64), most=1.0)

    assert 0.99 - low > 1.5 * (high - 0.99) > 0
    assert hall(0.999, influence, np.zeros(50, dtype=np.int64), most=1.0)[1] == 1.0
    assert hall(1.0, np.zeros(50), np.zeros(50, dtype=np.int64), most=1.0) is None
