import numpy as np
import pytest

from pcn_cli.metrics.selective import choose_threshold, coverage_curve, risk_area, risk_area_influence
from pcn_cli.records.model import Selection

CONFIDENCES = np.array([0.9, 0.5, 0.7, 0.7, 0.6])
RIGHT = np.array([True, False, True, False, True])


def choose(confidences: np.ndarray, right: np.ndarray, target: float) -> Selection:
    """The threshold for photos that are all answered with the first class, as surely as is given."""
    return choose_threshold(np.stack([confidences, np.zeros(len(right))], axis=1), np.where(right, 0, 1), target=target)


def test_the_curve_answers_the_surest_first_and_equals_together() -> None:
    coverage, accuracy = coverage_curve(CONFIDENCES, RIGHT)

    assert coverage.tolist() == [0.2, 0.6, 0.8, 1.0]
    assert accuracy == pytest.approx([1, 2 / 3, 3 / 4, 3 / 5])


def test_the_risk_area_is_the_mean_share_of_mistakes() -> None:
    distinct, right = np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, True, False, True])

    assert risk_area(distinct, right) == pytest.approx(np.mean([0, 0, 1 / 3, 1 / 4]))
    assert risk_area(np.full(4, 0.5), right) == pytest.approx(1 / 4)


def test_the_influence_on_the_risk_area_is_what_more_of_a_photo_changes() -> None:
    rng = np.random.default_rng(0)
    confidences, right = np.round(rng.random(40), 1), rng.random(40) < 0.7
    often, influence = 1000, risk_area_influence(confidences, right)
    for photo in range(0, 40, 3):
        counts = np.full(40, often)
        counts[photo] += 1
        more = risk_area(np.repeat(confidences, counts), np.repeat(right, counts))
        assert influence[photo] == pytest.approx((more - risk_area(confidences, right)) * often, abs=1e-4)


def test_the_threshold_is_the_lowest_that_reaches_the_target() -> None:
    confidences = np.linspace(1, 0.01, 100)
    right = np.ones(100, dtype=bool)
    right[[50, 60, 70]] = False

    chosen = choose(confidences, right, target=0.98)

    # 2 mistakes among 70 are too many for 98 %, 1 among 60 is not.
    assert (chosen.answered, chosen.right) == (60, 59)
    assert (confidences >= chosen.threshold).sum() == 60
    assert not chosen.declines(confidences[59] * (1 - 1e-8))
    assert chosen.declines(confidences[60])
    assert not chosen.declines(confidences[59])


def test_the_threshold_lets_in_no_photo_that_it_was_not_chosen_on() -> None:
    confidences = 1 - np.array([*np.full(10, 1e-8), *np.full(10, 5e-7)])

    chosen = choose(confidences, np.arange(20) < 10, target=1.0)

    assert (confidences >= chosen.threshold).sum() == chosen.answered == 10


def test_a_target_that_is_met_anyway_answers_everything() -> None:
    chosen = choose(np.linspace(0.5, 1, 20), np.ones(20, dtype=bool), target=1.0)

    assert chosen.answered == 20
    assert chosen.threshold == pytest.approx(0.5, rel=1e-5)


@pytest.mark.parametrize("right", [np.zeros(50, dtype=bool), np.arange(50) < 9])
def test_no_threshold_where_fewer_than_ten_answers_would_keep_the_promise(right: np.ndarray) -> None:
    chosen = choose(np.linspace(1, 0.5, 50), right, target=0.99)

    assert (chosen.threshold, chosen.photos) == (None, 50)
    assert not chosen.declines(0.0)
