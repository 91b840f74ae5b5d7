import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import binom

from pcn_cli.metrics.comparison import find_differences, mcnemar, tell_verdict
from pcn_cli.metrics.inputs import SingleLabel
from pcn_cli.metrics.measure import measure

CLASSES = ("a", "b", "c")


def draw_pair(rng: np.random.Generator, n: int, *, better: float) -> tuple[SingleLabel, SingleLabel]:
    """Two models on the same n photos, a third of each class; they share what makes a photo hard."""
    targets = np.repeat(np.arange(3), n // 3)
    common, answers = rng.normal(0, 0.8, (targets.size, 3)), []
    for skill in (1.8, 1.8 + better):
        own = softmax(common + rng.normal(0, 0.5, (targets.size, 3)) + skill * np.eye(3)[targets], axis=1)
        answers.append(SingleLabel([CLASSES[k] for k in targets], own, CLASSES, seed=int(rng.integers(2**31))))
    return answers[0], answers[1]


def of_right(right: list[bool]) -> SingleLabel:
    """A model of two classes that is right where `right` says so."""
    probabilities = np.array([[0.8, 0.2] if one else [0.2, 0.8] for one in right])
    return SingleLabel(["a"] * len(right), probabilities, ("a", "b"))


def test_the_values_are_those_of_the_two_models():
    first, second = draw_pair(np.random.default_rng(0), 90, better=0.5)
    found = {one.key: one for one in find_differences(first, second)}
    assert list(found) == ["accuracy", "macro_f1", "log_loss"]
    before, after = (measure(one) for one in (first, second))
    for key, one in found.items():
        assert one.first == pytest.approx(before[key].value)
        assert one.second == pytest.approx(after[key].value)
        assert one.difference.value == pytest.approx(one.second - one.first)
        assert one.difference.ci_low < one.difference.value < one.difference.ci_high
        assert one.difference.n == 90


def test_pairing_makes_the_interval_narrower_than_two_models_of_other_photos_have():
    first, second = draw_pair(np.random.default_rng(1), 600, better=0.1)
    both = [measure(one) for one in (first, second)]
    for one in find_differences(first, second):
        apart = np.hypot(*(own[one.key].ci_high - own[one.key].ci_low for own in both))
        assert one.difference.ci_high - one.difference.ci_low < 0.85 * apart


def test_a_model_compared_with_itself_differs_in_nothing():
    first, _ = draw_pair(np.random.default_rng(2), 90, better=0)
    assert mcnemar(first, first) == (0, 0, 1.0)
    for one in find_differences(first, first):
        assert (one.difference.value, one.difference.ci_low, one.difference.ci_high) == (0, None, None)


def test_mcnemar_is_the_exact_binomial_of_the_photos_that_one_alone_has_right():
    first, second = of_right([True] * 6 + [False] * 14), of_right([True] * 4 + [False] * 2 + [True] * 9 + [False] * 5)
    only_first, only_second, p_value = mcnemar(first, second)
    assert (only_first, only_second) == (2, 9)
    assert p_value == pytest.approx(2 * binom.cdf(2, 11, 0.5))


def test_mcnemar_rarely_calls_chance_a_difference_and_finds_real_ones():
    rng = np.random.default_rng(3)
    found = {
        better: sum(mcnemar(*draw_pair(rng, 150, better=better))[2] < 0.05 for _ in range(100)) / 100
        for better in (0, 1)
    }
    assert found[0] <= 0.1
    assert found[1] >= 0.8


def test_the_interval_of_the_difference_holds_the_truth():
    rng, draws = np.random.default_rng(4), 60
    truth = {one.key: one.difference.value for one in find_differences(*draw_pair(rng, 30_000, better=0.4))}
    held = dict.fromkeys(truth, 0)
    for _ in range(draws):
        for one in find_differences(*draw_pair(rng, 150, better=0.4)):
            held[one.key] += one.difference.ci_low <= truth[one.key] <= one.difference.ci_high
    assert {key: count for key, count in held.items() if not 0.88 <= count / draws <= 1} == {}


@pytest.mark.parametrize(
    ("only_first", "only_second", "p_value", "verdict"),
    [
        (0, 0, 1.0, "Of 200 photos, A and B are right on the same."),
        (3, 3, 1.0, "A and B are right equally often of 200 photos, each on 3 that the other misses."),
        (8, 15, 0.21, "B is right on 7 more of 200 photos; the difference could be chance (p = 0.21)."),
        (15, 3, 0.0075, "A is right on 12 more of 200 photos; the difference is hardly chance (p = 0.0075)."),
        (0, 30, 1e-9, "B is right on 30 more of 200 photos; the difference is hardly chance (p < 0.001)."),
    ],
)
def test_the_verdict_is_a_sentence(only_first, only_second, p_value, verdict):
    told = tell_verdict("A", "B", photos=200, only_first=only_first, only_second=only_second, p_value=p_value)
    assert told == verdict
