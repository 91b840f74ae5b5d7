import numpy as np
import pytest

from pcn_cli.metrics import trust
from pcn_cli.records.evaluation import Trust

RNG = np.random.default_rng(0)


def test_the_interval_of_a_mean_of_either_sign_is_students() -> None:
    metric = trust.mean_with_interval([-1.0, 0, 1, 2], "a mean")
    half = 3.1824463 * np.std([-1, 0, 1, 2], ddof=1) / 2  # t at 3 degrees of freedom
    assert metric.value == 0.5
    assert (metric.ci_low, metric.ci_high) == (pytest.approx(0.5 - half), pytest.approx(0.5 + half))
    assert trust.mean_with_interval([0.2, 0.2], "a mean").ci_low is None


def test_students_interval_holds_the_truth() -> None:
    draws = RNG.normal(0.1, 1, (400, 60))
    metrics = [trust.mean_with_interval(own, "a mean") for own in draws]
    held = [metric.ci_low <= 0.1 <= metric.ci_high for metric in metrics]
    assert 0.92 <= np.mean(held) <= 0.98


def test_even_attention_that_costs_accuracy_is_good_news() -> None:
    check = trust.check_attention("even", [True] * 60, [False] * 20 + [True] * 40)
    assert (check.outcome, check.values["accuracy_lost"].value) == ("good", pytest.approx(1 / 3))
    assert check.values["accuracy_even"].n == 60
    assert trust.trust_findings(Trust(sample=0, seed=0, checks=(check,))) == ()


def test_even_attention_that_costs_nothing_becomes_a_finding() -> None:
    right = [True, False] * 200
    check = trust.check_attention("even", right, right)
    assert check.outcome == "bad"
    (finding,) = trust.trust_findings(Trust(sample=0, seed=0, checks=(check,)))
    assert finding.title.startswith("Even attention costs no accuracy")
    assert "accuracy even 0.500" in finding.evidence
    assert "evidence" in finding.remedy


def test_few_photos_leave_the_question_open() -> None:
    check = trust.check_attention("permuted", [True] * 25, [True] * 24 + [False])
    assert check.outcome == "open"
    assert "too few" in check.verdict


@pytest.mark.parametrize("photos", [1, 3, trust.FEWEST - 1, trust.FEWEST])
def test_too_few_photos_have_no_verdict_however_clear_they_look(photos: int) -> None:
    """Seen with 3 photos: "No: with even attention it is right as often"."""
    right, numbers = [True] * photos, np.linspace(0.8, 0.9, photos)
    hits = {"look": right, "evidence": right, "center": [False] * photos}
    energy = {"look": numbers, "evidence": numbers, "center": numbers}
    checks = (
        trust.check_attention("even", right, right),
        trust.check_attention("permuted", right, [False] * photos),
        trust.check_order(numbers),
        trust.check_randomised(numbers, numbers),
        trust.check_flip(numbers, right),
        trust.check_pixels(numbers, np.zeros(photos)),
        trust.check_pointing(hits, random=[0.1] * photos),
        trust.check_energy(energy, even=np.zeros(photos)),
    )
    for check in checks:
        enough = photos >= trust.FEWEST and check.outcome != "open"
        assert enough or (check.outcome == "open" and f"Too few photos to tell: {photos}," in check.verdict), check.key
    assert all(check.outcome != "open" for check in checks) == (photos >= trust.FEWEST)


def test_a_network_that_looks_everywhere_alike_is_said_to_and_not_asked() -> None:
    check = trust.state_even_look([True, True, False])
    assert (check.outcome, check.key) == ("bad", "even_look")
    (found,) = trust.trust_findings(Trust(sample=0, seed=0, checks=(check,)))
    assert found.title == "The network looks at every tile alike, so its maps show the evidence"


@pytest.mark.parametrize(("center", "outcome"), [(0.3, "good"), (-0.3, "bad"), (0.0, "open")])
def test_verdicts_follow_the_interval(center: float, outcome: str) -> None:
    numbers = center + RNG.normal(0, 0.2, 50) - (0 if center else RNG.normal(0, 0.2, 50))
    numbers = numbers - numbers.mean() + center
    assert trust.check_order(numbers).outcome == outcome
    assert trust.check_pixels(numbers + 1, np.ones(50)).outcome == outcome
    assert trust.check_randomised(numbers, 0.5 - numbers).outcome == outcome
    assert trust.check_flip(0.5 + numbers, [True] * 50).outcome == outcome
    energy = {"look": 0.5 + numbers, "evidence": numbers, "center": numbers}
    assert trust.check_energy(energy, even=np.full(50, 0.5)).outcome == outcome


def test_pointing_is_judged_beside_the_middle_on_the_same_photos() -> None:
    hits = {"look": [True] * 30 + [False] * 10, "evidence": [True] * 40, "center": [False] * 25 + [True] * 15}
    check = trust.check_pointing(hits, random=[0.2] * 40)
    assert (check.outcome, list(check.values)) == ("good", ["look", "evidence", "center", "random"])
    assert check.values["random"].value == pytest.approx(0.2)
    turned = {"look": hits["center"], "evidence": hits["evidence"], "center": hits["look"]}
    assert trust.check_pointing(turned, random=[0.2] * 40).outcome == "bad"


def test_every_bad_check_has_a_title_of_its_own() -> None:
    numbers = RNG.normal(-0.5, 0.1, 50)
    bad = (
        trust.check_attention("even", [True] * 300, [True] * 300),
        trust.check_attention("permuted", [True] * 300, [True] * 300),
        trust.check_order(numbers),
        trust.check_randomised(-numbers, 1 + numbers * 0.1),
        trust.check_flip(numbers, [True] * 50),
        trust.check_pixels(numbers, np.zeros(50)),
        trust.check_pointing(
            {"look": [False] * 50, "evidence": [True] * 50, "center": [True] * 49 + [False]}, random=[1] * 50
        ),
        trust.check_energy({"look": numbers, "evidence": numbers, "center": numbers}, even=np.zeros(50)),
    )
    assert [check.outcome for check in bad] == ["bad"] * len(bad)
    found = trust.trust_findings(Trust(sample=50, seed=0, checks=bad))
    assert len({finding.title for finding in found}) == len(bad)


@pytest.mark.parametrize(("ahead", "outcome"), [(0.3, "good"), (-0.3, "bad"), (0.0, "open")])
def test_maps_are_judged_on_masks_beside_the_middle_and_beside_an_even_map(ahead: float, outcome: str) -> None:
    noise = RNG.normal(0, 0.05, 60)
    noise -= noise.mean()
    names = {
        "look": 0.4 + ahead + noise,
        "evidence": 0.2 + noise,
        "center": np.full(60, 0.4),
        "random": np.full(60, 0.4),
    }
    points = {"look": [ahead >= 0] * 60, "center": [ahead <= 0] * 60, "random": [0.4] * 60}
    checks = trust.check_masks({"pointing": points, "energy": names, "overlap": names})
    assert [check.key for check in checks] == ["mask_pointing", "mask_energy", "mask_overlap"]
    assert [check.outcome for check in checks] == [outcome] * 3
    found = trust.mask_metrics(checks)
    assert found["mask_overlap"].value == pytest.approx(0.4 + ahead)
    assert found["mask_overlap"].ci_low < found["mask_overlap"].value < found["mask_overlap"].ci_high
    assert found["mask_pointing_random"].value == pytest.approx(0.4)
    assert "mask_pointing_evidence" not in found
    titles = {finding.title for finding in trust.trust_findings(Trust(sample=60, seed=0, checks=checks))}
    assert len(titles) == (3 if outcome == "bad" else 0)
