"""Which of two models is kept: the better beyond chance, whatever their temperatures; else the first."""

import numpy as np
import pytest

from pcn_cli.metrics.calibration import temper
from pcn_cli.metrics.choice import is_better_beyond_chance, tempered_log_loss


def answers(targets: np.ndarray, *, signal: float, seed: int, classes: int = 4) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(size=(len(targets), classes))
    logits[np.arange(len(targets)), targets] += signal
    exact = np.exp(logits)
    return exact / exact.sum(axis=1, keepdims=True)


TARGETS = np.arange(200) % 4


@pytest.mark.parametrize("monitor", ["log_loss", "macro_f1"])
def test_a_clearly_better_model_is_better_and_a_worse_or_equal_one_is_not(monitor):
    weak, strong = answers(TARGETS, signal=1.0, seed=0), answers(TARGETS, signal=3.0, seed=0)
    assert is_better_beyond_chance(TARGETS, strong, weak, monitor=monitor)
    assert not is_better_beyond_chance(TARGETS, weak, strong, monitor=monitor)
    assert not is_better_beyond_chance(TARGETS, weak, weak, monitor=monitor)


@pytest.mark.parametrize("monitor", ["log_loss", "macro_f1"])
def test_models_that_differ_by_chance_are_seldom_told_apart(monitor):
    better = sum(
        is_better_beyond_chance(
            TARGETS,
            answers(TARGETS, signal=1.5, seed=2 * n),
            answers(TARGETS, signal=1.5, seed=2 * n + 1),
            monitor=monitor,
        )
        for n in range(60)
    )
    assert 2 <= better <= 18  # 16 % exceed one standard error


def test_how_sure_a_model_is_does_not_matter():
    first = answers(TARGETS, signal=1.5, seed=0)
    for temperature in (0.3, 4.0):
        changed = temper(first, temperature)
        assert tempered_log_loss(TARGETS, changed) == pytest.approx(tempered_log_loss(TARGETS, first), abs=1e-5)
        assert not is_better_beyond_chance(
            TARGETS, temper(answers(TARGETS, signal=0.5, seed=0), 0.5), changed, monitor="log_loss"
        )


def test_several_labels_are_judged_photo_by_photo():
    truths = np.random.default_rng(0).integers(0, 2, (150, 3))
    noise = np.random.default_rng(1).normal(size=truths.shape)
    weak, strong = (1 / (1 + np.exp(-(scale * (2 * truths - 1) + noise))) for scale in (0.5, 2.5))
    for monitor in ("log_loss", "macro_f1"):
        assert is_better_beyond_chance(truths, strong, weak, monitor=monitor)
        assert not is_better_beyond_chance(truths, weak, strong, monitor=monitor)


def test_one_photo_decides_nothing_wrong():
    one = np.array([0])
    assert not is_better_beyond_chance(one, np.array([[0.9, 0.1]]), np.array([[0.9, 0.1]]), monitor="log_loss")


def test_an_answer_that_is_sure_and_wrong_stays_finite():
    sure = np.eye(4)[(TARGETS + (np.arange(200) < 5)) % 4]
    assert np.isfinite(tempered_log_loss(TARGETS, sure))
