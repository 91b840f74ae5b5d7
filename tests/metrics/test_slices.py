import numpy as np
import pytest
from scipy.stats import fisher_exact

from pcn_cli.metrics.slices import FEWEST, measure_slices, slice_findings

CLASSES = ("a", "b", "c", "d", "e")
RATES = (0.02, 0.1, 0.2, 0.3, 0.5)  # of mistakes: classes differ, and that alone is no slice


def draw(seed, *, photos=200, night=0.0):
    """Whether each photo is wrong, its class, and facts of it; `night` adds to the rate of one site's photos."""
    rng = np.random.default_rng(seed)
    numbers = rng.integers(0, len(CLASSES), photos)
    site = np.where(rng.random(photos) < 0.25 + 0.1 * (numbers == 4), "night", rng.choice(["day", "dawn"], photos))
    rates = np.array(RATES)[numbers] + night * (site == "night")
    facts = {
        "folder": site.tolist(),
        "group": [f"g{number}" for number in rng.integers(0, 8, photos)],
        "file size in kB": (20 + 100 * rng.random(photos) + 10 * numbers).tolist(),
        "picture size in pixels": [float(side) for side in rng.choice([1e6, 2e6, 12e6], photos)],
        "brightness": rng.random(photos).tolist(),
        "column camera": rng.choice(["x", "y", None], photos).tolist(),
    }
    return (rng.random(photos) < rates).tolist(), [CLASSES[number] for number in numbers], facts


def test_without_cause_a_slice_is_shown_in_at_most_one_of_twenty_runs():
    shown = [bool(measure_slices(*draw(seed)).worse) for seed in range(120)]
    assert sum(shown) <= 6


def test_a_planted_slice_is_shown_and_said():
    found = [measure_slices(*draw(seed, night=0.4)) for seed in range(20)]
    assert sum(("folder", "night") in {(one.fact, one.name) for one in slices.worse} for slices in found) >= 18
    worst = found[0].slices[0]
    assert (worst.fact, worst.name) == ("folder", "night")
    assert worst.wrong > worst.expected
    (finding,) = slice_findings(found[0])
    assert finding.title.startswith("folder night: such photos are answered worse")
    assert f"{worst.wrong} of {worst.photos} wrong" in finding.evidence


def test_with_one_class_it_is_fishers_exact_test_and_holm_multiplies():
    wrong, site = [True] * 9 + [False] * 31, ["north"] * 15 + ["south"] * 25
    slices = measure_slices(wrong, ["a"] * 40, {"folder": site})
    north, south = slices.slices
    assert north.p_value == pytest.approx(fisher_exact([[9, 6], [0, 25]], alternative="greater").pvalue)
    assert (north.wrong, north.photos, north.expected) == (9, 15, pytest.approx(9 * 15 / 40))
    assert (north.adjusted, south.adjusted) == (pytest.approx(2 * north.p_value), 1.0)
    assert [one.name for one in slices.worse] == ["north"]
    assert slice_findings(measure_slices([False] * 40, ["a"] * 40, {"folder": site})) == ()


def test_a_folder_that_is_a_class_says_nothing_and_few_photos_are_no_slice():
    labels = ["a"] * 30 + ["b"] * 30
    wrong = [True] * 25 + [False] * 35
    own = measure_slices(wrong, labels, {"folder": labels})
    assert [one.p_value for one in own.slices] == [pytest.approx(1.0)] * 2
    few = ["x"] * (FEWEST - 1) + ["y"] * (61 - FEWEST)
    assert measure_slices(wrong, labels, {"folder": few}).slices == ()
    assert measure_slices(wrong, labels, {"column id": [str(n) for n in range(60)]}).slices == ()
