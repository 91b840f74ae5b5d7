import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import betabinom

from pcn_cli.metrics.calibration import calibrate, temper
from pcn_cli.metrics.conformal import calibrate_sets, measure_sets
from pcn_cli.metrics.inputs import SingleLabel
from pcn_cli.records.model import ConformalLevel


def draw(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    targets = rng.integers(0, 6, n)
    return softmax(rng.normal(0, 1, (n, 6)) + 1.5 * np.eye(6)[targets], axis=1), targets


@pytest.mark.parametrize("photos", [40, 150])
@pytest.mark.parametrize("sharpness", [None, 1.7], ids=["as they are", "with the temperature of the same photos"])
def test_the_sets_of_new_photos_cover_within_the_beta_binomial_band(photos: int, sharpness: float | None) -> None:
    rng, tests, trials = np.random.default_rng(photos), 2000, 200
    ranks = {level: int(np.ceil((photos + 1) * level - 1e-9)) for level in (0.9, 0.95)}
    bands = {
        level: betabinom(tests, rank, photos + 1 - rank).ppf([0.005, 0.995]).tolist() for level, rank in ranks.items()
    }
    outside, total = dict.fromkeys(bands, 0), dict.fromkeys(bands, 0)
    for _ in range(trials):
        calibrating, targets = draw(rng, photos)
        temperature = 1.0
        if sharpness is not None:  # answers that are too sure, which the temperature takes back as far as it knows
            temperature = calibrate(temper(calibrating, 1 / sharpness), targets)[0] / sharpness
        levels = calibrate_sets(temper(calibrating, temperature), targets)
        probabilities, targets = draw(rng, tests)
        probabilities = temper(probabilities, temperature)
        for level in levels:
            held = int((probabilities[np.arange(tests), targets] >= level.least_probability).sum())
            low, high = bands[level.level]
            outside[level.level] += not low <= held <= high
            total[level.level] += held
    for level, count in outside.items():
        # 1 of 100 may lie outside: 8 of 200 is beyond chance (p < 0.001).
        assert count < 8, level
        assert level - 0.01 <= total[level] / (trials * tests) <= level + 1 / photos + 0.01


@pytest.mark.parametrize(
    ("photos", "known"),
    [(0, (False, False)), (19, (False, False)), (20, (True, False)), (39, (True, False)), (40, (True, True))],
)
def test_too_few_photos_give_no_sets(photos: int, known: tuple[bool, bool]) -> None:
    levels = calibrate_sets(*draw(np.random.default_rng(0), photos))

    assert tuple(level.level for level in levels) == (0.9, 0.95)
    assert tuple(level.least_probability is not None for level in levels) == known
    assert {level.photos for level in levels} == {photos}


def test_the_quantile_is_the_one_that_the_rank_asks_for() -> None:
    own = np.arange(1, 21) / 21  # twenty photos: ⌈21 · 0.9⌉ = 19 labels must be held, so all but the least
    probabilities = np.stack([own, 1 - own], axis=1)

    level = calibrate_sets(probabilities, np.zeros(20, dtype=int))[0]

    assert level.least_probability == pytest.approx(2 / 21)
    # One photo's coverage by each label and its size say which classes its set holds.
    for probabilities, expected in (([0.95, 0.05], [True, False]), ([0.5, 0.5], [True, True])):
        by_label = [measure_sets(SingleLabel([own], np.array([probabilities]), ("a", "b")), level) for own in "ab"]
        assert [found["conformal_90_coverage"].value == 1 for found in by_label] == expected
        assert [found["conformal_90_set_size"].value for found in by_label] == [sum(expected)] * 2


def test_a_level_without_photos_has_no_sets() -> None:
    inputs = SingleLabel(["a", "b"], np.eye(2), ("a", "b"))
    with_photos = ConformalLevel(level=0.95, photos=40, least_probability=0.5)

    assert measure_sets(inputs, ConformalLevel(level=0.95, photos=3)) == {}
    assert set(measure_sets(inputs, with_photos)) == {
        f"conformal_95_{name}" for name in ("coverage", "set_size", "empty")
    }
