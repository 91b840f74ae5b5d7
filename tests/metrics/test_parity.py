"""Every comparison of the gate finds what only it can find, and lets pass what is rounding."""

from dataclasses import replace

import numpy as np
import pytest

from pcn_cli.metrics.parity import LEVEL, Outputs, compare_outputs, correlate_maps
from pcn_cli.records.model import ClassThreshold, ModelConfig, Preprocessing, Selection

PLAIN = ModelConfig(architecture="a", classes=("ash", "elm", "oak"), preprocessing=Preprocessing(height=8, width=8))
CHOOSY = replace(PLAIN, selection=Selection(target=0.9, photos=10, threshold=0.5))
SEVERAL = replace(PLAIN, multi_label=True, thresholds=tuple(ClassThreshold(label=name) for name in PLAIN.classes))


def outputs(config: ModelConfig, seed: int = 0) -> Outputs:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet((1, 1, 1), 12)
    best, sure = p.argmax(1), p.max(1)
    decisions = (p >= 0.5).astype(np.int64) if config.multi_label else best
    if config.selection:
        decisions = np.where(sure >= 0.5, best, -1)
    return Outputs(
        probabilities=p, decisions=decisions, maps=rng.dirichlet(np.ones(20), 12).reshape(12, 4, 5), unlike=np.ones(12)
    )


@pytest.mark.parametrize("config", [PLAIN, CHOOSY, SEVERAL])
def test_rounding_is_no_difference(config):
    expected = outputs(config)
    found = replace(expected, probabilities=expected.probabilities + 9e-4, maps=expected.maps * (1 + 1e-6))
    parity = compare_outputs(expected, found, config)
    assert not parity.problems
    assert parity.photos == 12
    assert parity.largest_difference == pytest.approx(9e-4)


@pytest.mark.parametrize("config", [PLAIN, CHOOSY, SEVERAL])
def test_another_decision_is_found_though_the_probabilities_are_the_same(config):
    expected = outputs(config)
    decisions = expected.decisions.copy()
    decisions[3] = 1 - decisions[3] if config.multi_label else (decisions[3] + 1) % 3
    parity = compare_outputs(expected, replace(expected, decisions=decisions), config)
    assert parity.problems == ("it answers 1 of 12 photos otherwise",)


def test_other_probabilities_are_found_though_the_decisions_are_the_same():
    expected = outputs(PLAIN)
    flatter = 0.9 * expected.probabilities + 0.1 / 3
    (problem,) = compare_outputs(expected, replace(expected, probabilities=flatter), PLAIN).problems
    assert problem.startswith("its probabilities differ by up to 0.0")


def test_numbers_that_are_none_are_found():
    expected = outputs(PLAIN)
    nothing = np.full_like(expected.probabilities, np.nan)
    assert (
        "probabilities differ" in compare_outputs(expected, replace(expected, probabilities=nothing), PLAIN).problems[0]
    )
    maps = np.full_like(expected.maps, np.nan)
    assert "maps differ" in compare_outputs(expected, replace(expected, maps=maps), PLAIN).problems[0]


def test_one_map_with_two_patches_exchanged_is_found():
    expected = outputs(PLAIN)
    maps = expected.maps.copy()
    maps[7] = maps[7][::-1]
    (problem,) = compare_outputs(expected, replace(expected, maps=maps), PLAIN).problems
    assert problem.startswith("its maps differ")


def test_another_distance_from_what_was_learned_is_found():
    expected = outputs(PLAIN)
    assert not compare_outputs(expected, replace(expected, unlike=expected.unlike + 9e-3), PLAIN).problems
    (problem,) = compare_outputs(expected, replace(expected, unlike=expected.unlike + 0.02), PLAIN).problems
    assert problem.startswith("its distances from what was learned differ")


@pytest.mark.parametrize("name", ["probabilities", "decisions", "maps", "unlike"])
def test_another_shape_is_found(name):
    expected = outputs(SEVERAL)
    found = replace(expected, **{name: getattr(expected, name)[..., :2]})
    (problem,) = compare_outputs(expected, found, SEVERAL).problems
    assert problem.startswith(f"its {name} have the shape")


@pytest.mark.parametrize(
    ("config", "p", "decisions"),
    [
        (PLAIN, (0.4001, 0.3999, 0.2), (0, 1)),
        (CHOOSY, (0.5002, 0.3, 0.1998), (0, -1)),
        (SEVERAL, (0.4998, 0.1, 0.9), ((0, 0, 1), (1, 0, 1))),
    ],
)
def test_ties_may_go_either_way(config, p, decisions):
    one, other = (
        Outputs(probabilities=np.array([p]), decisions=np.array([d]), maps=np.ones((1, 2, 2)), unlike=np.zeros(1))
        for d in decisions
    )
    assert not compare_outputs(one, other, config).problems
    sure = replace(one, probabilities=np.array([(0.9, 0.05, 0.05)]))
    same = replace(other, probabilities=sure.probabilities)
    assert compare_outputs(sure, same, config).problems == ("it answers 1 of 1 photos otherwise",)


def test_level_maps_are_alike_and_like_no_other():
    rng = np.random.default_rng(0)
    level = 1 + 0.4 * LEVEL * rng.uniform(-1, 1, (4, 4))
    assert correlate_maps(level, level[::-1]) == 1
    assert correlate_maps(level, level + np.eye(4)) == 0
    assert not correlate_maps(level + np.eye(4), np.ones((4, 4))) >= 0.999
