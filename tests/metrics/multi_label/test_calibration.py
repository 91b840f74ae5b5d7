import numpy as np
import pytest
from sklearn.metrics import f1_score

from pcn_cli.metrics.multi_label.calibration import calibrate, choose_thresholds, decision_loss, temper


@pytest.mark.parametrize("seed", range(10))
def test_a_temperature_never_raises_the_validation_loss(draw, seed):
    answers = draw(np.random.default_rng(seed), 60)
    temperature, found = calibrate(answers.probabilities, answers.truths)
    assert found.log_loss_after <= found.log_loss_before
    assert found.log_loss_after == pytest.approx(
        decision_loss(answers.truths, temper(answers.probabilities, temperature))
    )


def test_a_model_that_is_too_sure_is_cooled(draw):
    answers = draw(np.random.default_rng(0), 2000)
    assert calibrate(answers.probabilities, answers.truths)[0] > 1.1


def test_few_photos_and_faultless_ones_leave_the_temperature(draw):
    answers = draw(np.random.default_rng(0), 60)
    assert calibrate(answers.probabilities[:29], answers.truths[:29])[0] == 1
    assert calibrate(np.where(answers.truths, 0.9, 0.1), answers.truths)[0] == 1


def test_tempering_can_be_taken_back_also_at_the_ends():
    probabilities = np.array([[0.0, 1e-9, 0.3, 1 - 1e-9, 1.0]])
    back = temper(temper(probabilities, 1.7), 1 / 1.7)
    np.testing.assert_allclose(back, probabilities, atol=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_no_threshold_gives_a_better_f1_on_the_photos_it_was_chosen_on(draw, seed):
    answers = draw(np.random.default_rng(seed), 80)
    for place, chosen in enumerate(choose_thresholds(answers.probabilities, answers.truths, answers.classes)):
        scores, own = answers.probabilities[:, place], answers.truths[:, place]
        best = max(f1_score(own, scores >= cut, zero_division=0) for cut in np.unique(scores))
        assert chosen.f1 == pytest.approx(best)
        assert f1_score(own, scores >= chosen.threshold) == pytest.approx(best)
        assert chosen.photos == own.sum()


def test_a_class_without_validation_photos_keeps_a_half():
    truths = np.array([[True, False], [False, False]])
    kept = choose_thresholds(np.array([[0.8, 0.9], [0.2, 0.9]]), truths, ("a", "b"))
    assert [(one.label, one.threshold, one.photos, one.f1) for one in kept] == [("a", 0.5, 1, 1.0), ("b", 0.5, 0, None)]
