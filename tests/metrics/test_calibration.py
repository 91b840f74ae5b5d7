import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import f1_score, log_loss

from pcn_cli.metrics.calibration import (
    SPREAD,
    binary_log_loss,
    calibrate,
    choose_thresholds,
    fit_temperature,
    temper,
)
from pcn_cli.metrics.reliability import expected_calibration_error, reliability


def draw_sharp(n: int, count: int = 4, sharpness: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (n, count) that are `sharpness` times too sure, and targets drawn from the honest ones."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (n, count))
    honest = softmax(logits, axis=1)
    targets = (honest.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    return softmax(sharpness * logits, axis=1), targets


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_the_temperature_finds_how_much_too_sure_the_model_is(sharpness: float) -> None:
    probabilities, targets = draw_sharp(4000, sharpness=sharpness)

    assert fit_temperature(probabilities, targets) == pytest.approx(sharpness, rel=0.1)


@pytest.mark.parametrize("seed", range(20))
def test_the_temperature_never_raises_the_log_loss_it_is_fitted_on(seed: int) -> None:
    rng = np.random.default_rng(seed)
    photos, sharpness = int(rng.integers(1, 60)), rng.choice([0.1, 1, 10, 300])
    probabilities, targets = draw_sharp(photos, sharpness=sharpness, seed=seed)

    temperature = fit_temperature(probabilities, targets, spread=SPREAD)
    _, found = calibrate(*draw_sharp(photos + 29, sharpness=sharpness, seed=seed))

    assert 0.05 <= temperature <= 20
    assert found.log_loss_after <= found.log_loss_before
    before = log_loss(targets, probabilities, labels=range(4))
    after = log_loss(targets, temper(probabilities, temperature), labels=range(4))
    assert after <= before + 1e-12


@pytest.mark.parametrize("sharpness", [0.8, 1.2, 4.0])
def test_few_photos_say_less_of_the_temperature_than_many(sharpness: float) -> None:
    losses, spreads = [], (np.inf, SPREAD)
    for seed in range(30):
        probabilities, targets = draw_sharp(560, sharpness=sharpness, seed=seed)
        fitted = [fit_temperature(probabilities[:60], targets[:60], spread=spread) for spread in spreads]
        answers = [temper(probabilities[60:], one)[np.arange(500), targets[60:]] for one in fitted]
        losses.append([-np.log(one).mean() for one in answers])
    alone, drawn = np.mean(losses, axis=0)
    # New photos gain where the model is nearly as sure as it should be, and lose nothing where it is far too sure.
    assert drawn < alone if sharpness < 2 else drawn == pytest.approx(alone, rel=0.01)


def test_many_photos_outweigh_what_was_thought_of_the_temperature_before() -> None:
    probabilities, targets = draw_sharp(20_000, sharpness=1.2)

    drawn = fit_temperature(probabilities, targets, spread=SPREAD)

    assert drawn == pytest.approx(fit_temperature(probabilities, targets), rel=1e-3)


def test_a_perfect_model_and_certain_zeros_break_nothing() -> None:
    assert 0.05 <= fit_temperature(np.eye(3), np.arange(3)) <= 20
    wrong = fit_temperature(np.eye(3), np.array([1, 2, 0]))
    assert np.isfinite(temper(np.eye(3), wrong)).all()


def test_a_class_without_a_validation_photo_does_not_matter() -> None:
    probabilities, targets = draw_sharp(600, sharpness=2)
    present = targets != 3

    assert fit_temperature(probabilities[present], targets[present]) == pytest.approx(2, rel=0.5)


def test_tempering_is_softmax_of_divided_logits_and_can_be_taken_back() -> None:
    logits = np.random.default_rng(0).normal(0, 3, (50, 5))
    probabilities = softmax(logits, axis=1)

    tempered = temper(probabilities, 1.7)

    assert tempered == pytest.approx(softmax(logits / 1.7, axis=1), rel=1e-12)
    assert temper(tempered, 1 / 1.7) == pytest.approx(probabilities, rel=1e-9)


def test_under_thirty_photos_the_temperature_stays_one() -> None:
    temperature, found = calibrate(*draw_sharp(29, sharpness=3))

    assert temperature == 1
    assert (found.photos, found.validation_photos, found.log_loss_before) == (0, 29, None)


def test_a_calibrated_model_has_a_small_error_and_a_sharpened_one_a_large() -> None:
    errors = []
    for sharpness in (1.0, 3.0):
        probabilities, targets = draw_sharp(4000, sharpness=sharpness)
        right = probabilities.argmax(axis=1) == targets
        errors.append(expected_calibration_error(reliability(probabilities.max(axis=1), right)))
    assert errors[0] < 0.03 < 0.08 < errors[1]


def test_without_a_mistake_nothing_is_made_surer() -> None:
    probabilities = np.tile([0.7, 0.2, 0.1], (40, 1))
    assert fit_temperature(probabilities, np.zeros(40, dtype=np.int64)) == 1.0


@pytest.mark.parametrize("seed", range(10))
def test_a_temperature_never_raises_the_validation_loss(draw, seed):
    several = draw(np.random.default_rng(seed), 60)
    temperature, found = calibrate(several.probabilities, several.truths)
    assert found.log_loss_after <= found.log_loss_before
    assert found.log_loss_after == pytest.approx(
        binary_log_loss(several.truths, temper(several.probabilities, temperature, multi_label=True))
    )


def test_a_model_that_is_too_sure_is_cooled(draw):
    several = draw(np.random.default_rng(0), 2000)
    assert calibrate(several.probabilities, several.truths)[0] > 1.1


def test_few_photos_and_faultless_ones_leave_the_temperature(draw):
    several = draw(np.random.default_rng(0), 60)
    assert calibrate(several.probabilities[:29], several.truths[:29])[0] == 1
    assert calibrate(np.where(several.truths, 0.9, 0.1), several.truths)[0] == 1


def test_tempering_can_be_taken_back_also_at_the_ends():
    probabilities = np.array([[0.0, 1e-9, 0.3, 1 - 1e-9, 1.0]])
    back = temper(temper(probabilities, 1.7, multi_label=True), 1 / 1.7, multi_label=True)
    np.testing.assert_allclose(back, probabilities, atol=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_no_threshold_gives_a_better_f1_on_the_photos_it_was_chosen_on(draw, seed):
    several = draw(np.random.default_rng(seed), 80)
    for place, chosen in enumerate(choose_thresholds(several.probabilities, several.truths, several.classes)):
        scores, own = several.probabilities[:, place], several.truths[:, place]
        best = max(f1_score(own, scores >= cut, zero_division=0) for cut in np.unique(scores))
        assert chosen.f1 == pytest.approx(best)
        assert f1_score(own, scores >= chosen.threshold) == pytest.approx(best)
        assert chosen.photos == own.sum()


def test_a_class_without_validation_photos_keeps_a_half():
    truths = np.array([[True, False], [False, False]])
    kept = choose_thresholds(np.array([[0.8, 0.9], [0.2, 0.9]]), truths, ("a", "b"))
    assert [(one.label, one.threshold, one.photos, one.f1) for one in kept] == [("a", 0.5, 1, 1.0), ("b", 0.5, 0, None)]
