import numpy as np
import pytest

from pcn_cli.metrics.intervals import bootstrap_area, bootstrap_counts, bootstrap_mean, bootstrap_weights, wilson


def test_wilson_agrees_with_its_formula() -> None:
    z, n, p = 1.959963984540054, 450, 412 / 450
    middle, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))

    assert wilson(412, 450) == pytest.approx(((middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)))


@pytest.mark.parametrize("right", [0, 10])
def test_wilson_stays_within_zero_and_one(right: int) -> None:
    low, high = wilson(right, 10)

    assert 0 <= low <= right / 10 <= high <= 1
    assert high - low > 0.2


def test_wilson_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="n"):
        wilson(0, 0)


def test_resampled_counts_keep_the_number_of_photos_of_every_class() -> None:
    matrix = np.array([[8, 2, 0], [1, 5, 1], [0, 0, 0]])
    seen = []

    def statistic(right: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        seen.append((right, predicted))
        return right.sum(axis=1) / matrix.sum()

    low, high = bootstrap_counts(matrix, statistic, seed=0)
    (own, _), (right, predicted) = seen

    assert own.tolist() == [[8, 5, 0]]
    assert predicted.sum(axis=1) == pytest.approx(17)
    assert (right.max(axis=0) <= np.array([10, 7, 0]) + 1e-9).all()
    assert right.mean(axis=0) == pytest.approx([8, 5, 0], abs=0.2)
    assert low < 13 / 17 < high


def test_a_statistic_that_never_changes_has_no_interval() -> None:
    assert bootstrap_counts(np.diag([5, 5]), lambda right, _: right.sum(axis=1) / 10, seed=0) is None
    assert bootstrap_mean(np.ones(4), np.zeros(4, dtype=np.int64), seed=0) is None
    assert bootstrap_mean(np.arange(4.0), np.array([0, 0, 1, 1]), seed=0) is None  # drawn one by one


def test_the_interval_of_a_mean_has_the_width_that_theory_gives() -> None:
    values = np.random.default_rng(0).normal(3, 1, 400)

    low, high = bootstrap_mean(values, np.repeat([0, 1], 200), seed=1)

    assert (low + high) / 2 == pytest.approx(values.mean(), abs=0.01)
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)


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


def test_an_area_has_an_interval_within_its_bounds_and_none_at_them() -> None:
    influence = np.random.default_rng(0).normal(0, 0.002, 50)
    targets = np.repeat([0, 1], 25)

    low, high = bootstrap_area(0.99, influence, targets, seed=0)

    assert 0 < low < 0.99 < high < 1
    assert bootstrap_area(1.0, influence, targets, seed=0) is None
    assert bootstrap_area(0.9, np.zeros(50), targets, seed=0) is None
