"""The learning curve's figures are the means of its regressions', its step holds the truth, the outlook is honest."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from pcn_cli.metrics.inputs import MultiLabel, SingleLabel
from pcn_cli.metrics.intervals import wilson
from pcn_cli.metrics.learning_curve import Share, judge_outlook, measure_learning_curve
from pcn_cli.records.evaluation import LearningCurve
from pcn_cli.records.metrics import Metric

CLASSES = ("ash", "elm")
LABELS = ["ash"] * 6 + ["elm"] * 4


def answers(right: str) -> SingleLabel:
    """A regression that is right where `right` has a 1."""
    own = np.array([0.8 if one == "1" else 0.2 for one in right])
    first = np.where(np.array(LABELS) == "ash", own, 1 - own)
    return SingleLabel(LABELS, np.stack([first, 1 - first], axis=1), CLASSES)


QUARTERS = [answers(right) for right in ("1100000000", "0000001100", "1000000000", "0000000000")]
HALVES = [answers("1110001100"), answers("1111001000")]
WHOLE = [answers("1111101100")]


def curve(*rows: list[SingleLabel]) -> LearningCurve:
    return measure_learning_curve([Share(40 // len(row), row) for row in rows])


def test_each_figure_is_the_mean_over_its_regressions() -> None:
    steps = curve(QUARTERS, HALVES, WHOLE).steps

    assert [(step.draws, step.photos, step.share) for step in steps] == [(4, 10, "1/4"), (2, 20, "1/2"), (1, 40, "all")]
    assert [step.figure.value for step in steps] == pytest.approx([0.125, 0.5, 0.7])
    assert [step.figure.n for step in steps] == [10, 10, 10]
    assert steps[1].classes == pytest.approx({"ash": 7 / 12, "elm": 3 / 8})
    assert (steps[1].figure.ci_low, steps[1].figure.ci_high) == pytest.approx(wilson(5, 10))


def test_the_step_is_from_half_to_all_and_the_class_that_gained_most_is_named() -> None:
    found = curve(QUARTERS, HALVES, WHOLE)

    assert found.gain.value == pytest.approx(0.2)
    assert found.gain.ci_low < 0 < 0.2 < found.gain.ci_high
    assert found.most.label == "ash"
    assert (found.most.half, found.most.all, found.most.photos) == pytest.approx((7 / 12, 5 / 6, 6))
    assert curve(WHOLE, WHOLE).most is None


def test_of_several_labels_the_figure_is_mean_average_precision() -> None:
    rng = np.random.default_rng(0)
    truths = rng.random((60, 2)) < 0.4
    labels = [";".join(np.array(CLASSES)[own]) for own in truths]

    def scored(noise: float) -> MultiLabel:
        return MultiLabel(labels, 1 / (1 + np.exp(rng.normal(0, noise, truths.shape) - 2 * truths)), CLASSES)

    rows = [[scored(2.0), scored(2.0)], [scored(0.5)]]
    found = measure_learning_curve([Share(40 // len(row), row) for row in rows])

    assert found.figure == "mean_average_precision"
    areas = [
        np.mean([average_precision_score(truths, one.probabilities, average="macro") for one in row]) for row in rows
    ]
    assert [step.figure.value for step in found.steps] == pytest.approx(areas)
    assert found.steps[0].figure.ci_low < areas[0] < found.steps[0].figure.ci_high
    assert found.gain.value == pytest.approx(areas[1] - areas[0])
    assert found.gain.ci_low > 0
    assert judge_outlook(found) == "help"


def test_a_test_that_no_class_can_be_measured_on_gives_no_curve() -> None:
    blank = MultiLabel(["", ""], np.full((2, 2), 0.3), CLASSES)

    assert measure_learning_curve([Share(4, [blank, blank]), Share(8, [blank])]) is None


@pytest.mark.parametrize(
    ("low", "high", "outlook"),
    [
        (0.001, 0.05, "help"),
        (-0.03, 0.01, "little"),
        (-0.05, -0.01, "little"),
        (-0.01, 0.06, "open"),
        (0, 0.02, "open"),
    ],
)
def test_the_outlook_is_what_the_interval_of_the_step_says(low: float, high: float, outlook: str) -> None:
    step = Metric(value=(low + high) / 2, n=10, method="", ci_low=low, ci_high=high)

    assert judge_outlook(replace(curve(HALVES, WHOLE), gain=step)) == outlook


def test_shares_that_are_left_out_are_told() -> None:
    shares = [Share(20, HALVES), Share(40, WHOLE)]

    found = measure_learning_curve(shares, left_out=(4, 8), scarce="elm")

    assert found.told_left_out == "without 1/8 and 1/4: too few photos of a class, such as elm"
    assert curve(HALVES, WHOLE).told_left_out == ""


@pytest.mark.parametrize("photos", [30, 200])
def test_the_interval_of_the_step_holds_the_truth(photos: int) -> None:
    """Half-models are right on 70 % and the model of all on 75 %; what makes a photo hard is the same for all."""
    rng, truth, held = np.random.default_rng(0), 0.05, 0
    for _ in range(400):
        labels = ["ash"] * photos
        hardness = rng.normal(0, 1, photos)
        rows = []
        for right, draws in ((0.7, 2), (0.75, 1)):
            cut = np.sqrt(1.25) * {0.7: 0.5244, 0.75: 0.6745}[right]
            wrong = [hardness + rng.normal(0, 0.5, photos) > cut for _ in range(draws)]
            own = [np.stack([1.0 - one, one], axis=1) for one in wrong]
            rows.append(Share(1, [SingleLabel(labels, p, CLASSES) for p in own]))
        gain = measure_learning_curve(rows).gain
        held += gain.ci_low <= truth <= gain.ci_high
    assert 0.92 <= held / 400 <= 0.995
