from dataclasses import replace
from typing import Any

from pcn_cli.metrics.findings import NUMBER_CHECKS, PHOTO_CHECKS, Observations, findings
from pcn_cli.records.evaluation import ClassGain, CurveStep, LearningCurve
from pcn_cli.records.metrics import Candidate, ClassRow, Finding, Metric
from pcn_cli.records.model import Calibration, ClassThreshold, Selection
from pcn_cli.records.photos import Health, LeftOut, SkippedFile, Spread, Tie
from pcn_cli.records.predictions import Suspect


def metric(value: float, low: float | None = None, high: float | None = None) -> Metric:
    return Metric(value=value, n=50, method="", ci_low=low, ci_high=high)


def row(label: str, support: int) -> ClassRow:
    return ClassRow(label=label, precision=1.0, recall=1.0, f1=1.0, support=support)


def facts(**changed: Any) -> Observations:
    """A healthy run, but for what is changed."""
    healthy: dict[str, Any] = {
        "metrics": {"accuracy": metric(0.9, 0.8, 0.95), "baseline_majority": metric(0.4)},
        "per_class": [row("daisy", 20), row("roses", 30)],
        "train_counts": {"daisy": 100, "roses": 120},
        "candidates": [Candidate(name="probe", val_log_loss=0.5), Candidate(name="tuned", val_log_loss=0.4, kept=True)],
    }
    return Observations(**(healthy | changed))


def test_a_healthy_run_has_no_findings() -> None:
    assert findings(facts()) == ()


def test_an_interval_that_reaches_the_baseline_is_a_warning() -> None:
    metrics = {"accuracy": metric(0.5, 0.38, 0.62), "baseline_majority": metric(0.4)}

    (found,) = findings(facts(metrics=metrics))

    assert found.severity == "warning"
    assert found.evidence == (
        "The 95 % interval of the accuracy, 38.0 % to 62.0 % on 50 photos, reaches down to the baseline of 40.0 %."
    )


def test_classes_with_few_test_photos_are_named() -> None:
    (found,) = findings(facts(per_class=[row("daisy", 4), row("roses", 5), row("tulips", 0)]))

    assert found.title == "2 classes with fewer than 5 test photos"
    assert found.evidence == "daisy (4), tulips (0): their numbers say little."


def test_unreadable_files_are_named_with_their_reason() -> None:
    (found,) = findings(facts(unreadable=[SkippedFile(file=f"{i}.jpg", reason="truncated") for i in range(10)]))

    assert found.title == "10 files could not be read"
    assert found.evidence.startswith("Left out: 0.jpg (truncated), ")
    assert found.evidence.endswith("7.jpg (truncated), and 2 more.")
    assert found.remedy.endswith("--load-truncated uses truncated ones.")
    (found,) = findings(facts(unreadable=[SkippedFile(file="a.jpg", reason="an empty file")]))
    assert "--load-truncated" not in found.remedy


def test_imbalance_starts_at_three_to_one() -> None:
    assert findings(facts(train_counts={"daisy": 100, "roses": 299})) == ()

    (found,) = findings(facts(train_counts={"daisy": 100, "roses": 300, "never seen": 0}))

    assert found.title == "The largest class has 3.0 times the photos of the smallest"
    assert found.evidence == "Photos to learn from: roses 300, daisy 100."


def test_imbalance_tells_the_figures_to_judge_by() -> None:
    """It said to judge by two figures that were printed nowhere."""
    metrics = {
        "balanced_accuracy": metric(0.75),
        "macro_f1": metric(0.742),
    }
    found = findings(facts(train_counts={"good": 100, "defect": 10}, metrics=metrics))
    (uneven,) = [one for one in found if one.title.startswith("The largest class has 10.0 times")]
    assert uneven.evidence.endswith("defect 10. Here: balanced accuracy 75.0 %, macro-F1 74.2 %.")


def test_tuning_that_did_not_help_is_told_with_both_losses() -> None:
    candidates = [Candidate(name="probe", val_log_loss=0.4, kept=True), Candidate(name="tuned", val_log_loss=0.39)]

    (found,) = findings(facts(candidates=candidates))

    assert found.severity == "note"
    assert found.evidence == "Validation log-loss, each after its own temperature: probe 0.4000, tuned 0.3900."
    by_f1 = [replace(one, val_macro_f1=f1) for one, f1 in zip(candidates, (0.8, 0.7), strict=True)]
    assert findings(facts(candidates=by_f1))[0].evidence == "Validation macro-F1: probe 0.8000, tuned 0.7000."
    assert findings(facts(candidates=candidates[:1])) == ()


def test_a_target_that_no_threshold_reaches_is_a_warning() -> None:
    (found,) = findings(facts(selection=Selection(target=0.98, photos=50)))

    assert (found.severity, found.title) == ("warning", "No threshold reaches the wished accuracy of 98.0 %")
    assert found.evidence.startswith("On 50 validation photos ")


def test_photos_that_are_too_few_for_any_threshold_are_a_warning() -> None:
    """Nine of nine were right, and the surest answers were said to be wrong more often."""
    (found,) = findings(facts(selection=Selection(target=0.9, photos=9)))

    assert found.title == "Too few validation photos for a threshold"
    assert "fewer than 10" in found.evidence


def test_a_target_that_the_test_photos_refute_is_a_warning() -> None:
    wanted = Selection(target=0.98, photos=50, threshold=0.7, answered=40, right=40)
    metrics = facts().metrics | {"threshold_accuracy": metric(0.9, 0.8, 0.95)}

    (found,) = findings(facts(selection=wanted, metrics=metrics))

    assert found.evidence == "90.0 % of 50 answers are right here; on the validation photos it was 100.0 % of 40."
    met = facts().metrics | {"threshold_accuracy": metric(0.97, 0.9, 0.99)}
    assert findings(facts(selection=wanted, metrics=met)) == ()


def test_a_temperature_that_was_not_fitted_is_a_note() -> None:
    (found,) = findings(facts(calibration=Calibration(validation_photos=12, photos=0)))

    assert (found.severity, found.title) == ("note", "The confidences are as the network gives them")
    assert found.evidence == "12 validation photos are too few to fit a temperature."
    assert findings(facts(calibration=Calibration(validation_photos=60, photos=30))) == ()


def suspect(rank: int) -> Suspect:
    return Suspect(
        rank=rank, file=f"{rank}.jpg", split="train", label="daisy", suggested="roses", p_label=0.1, p_suggested=0.9
    )


def test_suspect_labels_are_named_the_most_suspect_first() -> None:
    (found,) = findings(facts(suspects=[suspect(rank) for rank in range(1, 11)]))

    assert (found.severity, found.title) == ("note", "10 photos may have a wrong label")
    assert found.evidence.startswith("The most suspect first: 1.jpg (daisy, looks like roses), 2.jpg ")
    assert found.evidence.endswith(", and 2 more.")
    assert "suspects.csv" in found.remedy


def test_a_weak_model_s_doubts_are_told_as_such() -> None:
    weak = facts().metrics | {"accuracy": metric(0.6, 0.5, 0.7)}

    (found,) = findings(facts(suspects=[suspect(1)], metrics=weak))

    assert found.title == "1 photo with a label that the model contradicts"
    assert found.evidence.startswith("The model is right on only 60.0 % of 50 photos, so many of these are its own ")


def curve(low: float, high: float, **changed: Any) -> LearningCurve:
    """From half of the photos to all the accuracy rises from 80 to 84 %, between `low` and `high`."""
    steps = (
        CurveStep(draws=2, photos=300, figure=metric(0.8, 0.7, 0.87), classes={}),
        CurveStep(draws=1, photos=600, figure=metric(0.84, 0.75, 0.9), classes={}),
    )
    given: dict[str, Any] = {"figure": "accuracy", "steps": steps, "gain": metric(0.04, low, high)}
    return LearningCurve(**(given | changed))


def test_a_step_beyond_chance_says_that_more_photos_would_help() -> None:
    most = ClassGain(label="roses", half=0.5, all=0.65, photos=20)

    (found,) = findings(facts(learning_curve=curve(0.01, 0.07, most=most)))

    assert (found.severity, found.title) == ("note", "More photos would still help")
    assert found.evidence == (
        "With half of the training photos (300) 80.0 % (70.0 to 87.0) are right, with all 600 84.0 % (75.0 to 90.0):"
        " +4.0 points (+1.0 to +7.0) on the same 50 test photos. roses gained most: from 50.0 % to 65.0 % of 20 test"
        " photos. Measured with logistic regression on the frozen network."
    )


def test_a_step_that_is_surely_small_says_that_they_would_change_little() -> None:
    (found,) = findings(facts(learning_curve=curve(-0.02, 0.019)))

    assert found.title == "More photos of these kinds would probably change little"
    assert "gained most" not in found.evidence


def test_a_step_that_may_be_chance_or_large_says_that_nobody_can_tell() -> None:
    (found,) = findings(facts(learning_curve=curve(0.0, 0.08, figure="mean_average_precision")))

    assert found.title == "Whether more photos would help cannot be told from so few test photos"
    assert "80.0 % (70.0 to 87.0) mean average precision, with all 600" in found.evidence


def test_warnings_come_before_notes_and_every_check_can_speak() -> None:
    found = findings(
        facts(
            metrics={"accuracy": metric(0.5, 0.3, 0.6), "baseline_majority": metric(0.4)},
            per_class=[row("daisy", 1)],
            train_counts={"daisy": 1, "roses": 9},
            unreadable=[SkippedFile(file="a.jpg", reason="empty")],
            candidates=[
                Candidate(name="probe", val_log_loss=0.1, kept=True),
                Candidate(name="tuned", val_log_loss=0.2),
            ],
            calibration=Calibration(validation_photos=3, photos=0),
            selection=Selection(target=0.9, photos=3),
            suspects=[suspect(1)],
            thresholds=(ClassThreshold(label="ash"),),
            learning_curve=curve(0.01, 0.07),
        )
    )

    assert len(found) == len(NUMBER_CHECKS)
    assert [one.severity for one in found] == ["warning"] * 5 + ["note"] * 5
    assert all(one.remedy for one in found)


def tie(**changed: Any) -> Tie:
    facts: dict[str, Any] = {
        "kind": "exact",
        "file": "b.jpg",
        "label": "roses",
        "part": "test",
        "other": "a.jpg",
        "other_label": "roses",
        "other_part": "train",
    }
    return Tie(**(facts | changed))


def health(**changed: Any) -> Health:
    spread = Spread(least=1, median=1, most=1)
    facts: dict[str, Any] = {
        "widths": spread,
        "heights": spread,
        "aspects": spread,
        "modes": {},
        "exact_duplicates": (),
        "imbalance": 1.0,
        "small_classes": (),
        "against_flipping": (),
        "fit": "crop",
        "fit_reason": "",
    }
    return Health(**(facts | changed))


def test_healthy_photos_have_no_findings() -> None:
    assert findings(Observations(health=health())) == ()


def test_leaks_are_counted_by_kind_with_their_pairs() -> None:
    near = tie(kind="near", file="d.jpg", part="val", other="c.jpg")
    (found,) = findings(Observations(leaks=[tie(), near]))
    assert found.severity == "warning"
    assert found.title == "2 photos leak from one part into another"
    pairs = "b.jpg (test) = a.jpg (train), d.jpg (val) = c.jpg (train)"
    assert found.evidence == f"1 the same file, 1 the same picture: {pairs}."
    assert findings(Observations(leaks=[tie()]))[0].title == "1 photo leaks from one part into another"


def test_a_picture_with_two_labels_is_told_with_both() -> None:
    (found,) = findings(Observations(conflicts=[tie(other_label="tulips")]))
    assert found.title == "1 picture has two labels"
    assert found.evidence == "b.jpg (roses) = a.jpg (tulips)."


def test_a_picture_with_two_sets_of_labels_is_told_with_both() -> None:
    (found,) = findings(Observations(conflicts=[tie(label="a;b", other_label="")], multi_label=True))
    assert found.title == "1 picture has two sets of labels"
    assert found.evidence == "b.jpg (a;b) = a.jpg (none)."


def test_warnings_about_photos_come_before_notes_and_every_check_can_speak() -> None:
    unwell = health(small_classes=("elm",), against_flipping=("left",))
    found = findings(
        Observations(
            doubts=[Finding(severity="warning", title="a doubt", evidence="x", remedy="y")],
            left_out=[LeftOut(folder="extra", photos=3, reason="not in a class folder")],
            missing={"train": ["elm"], "test": ["oak"]},
            leaks=[tie()],
            conflicts=[tie()],
            alike=30,
            neighbours=[tie(kind="alike")],
            health=unwell,
        )
    )
    assert len(found) == len(PHOTO_CHECKS) == 10
    assert [one.severity for one in found] == ["warning"] * 8 + ["note"] * 2
    assert all(one.remedy for one in found)


def test_a_class_without_a_photo_to_learn_from_is_a_warning() -> None:
    """Classes that only val/ or test/ had were trained, measured, and in no finding."""
    (found,) = findings(Observations(missing={"train": ["c", "d"], "val": ["d"], "test": ["c"]}))
    assert (found.severity, found.title) == ("warning", "2 classes have no photo to learn from")
    assert found.evidence.startswith("c, d: ")


def test_a_part_of_ones_own_without_a_class_is_a_warning() -> None:
    first, second = findings(Observations(missing={"train": [], "val": ["a"], "test": ["a", "b"]}))
    assert first.title == "The val part has no photo of 1 class"
    assert second.title == "The test part has no photo of 2 classes"
    assert second.evidence == "a, b: nothing is measured on photos of these classes."


def test_no_remedy_names_an_option_without_effect() -> None:
    """Where test/ is the user's own, --set split.test=0.3 is refused; it was the advice all the same."""
    few = {
        "per_class": [row("daisy", 1)],
        "calibration": Calibration(validation_photos=3, photos=0),
        "thresholds": (ClassThreshold(label="ash"),),
        "learning_curve": curve(0.0, 0.08),
    }
    divided = " ".join(one.remedy for one in findings(facts(**few)))
    assert divided.count("--set split.test=0.3") == divided.count("--set split.val=0.3") == 2
    own = findings(facts(**few, own_parts={"train", "val", "test"}))
    assert len(own) == 4
    assert not any("split." in one.remedy for one in own)
    assert sum("your own" in one.remedy for one in own) == 4
    alike = {"alike": 30, "neighbours": [tie(kind="alike")]}
    assert all("--group-by" in one.remedy for one in findings(Observations(**alike)))
    together = findings(Observations(**alike, own_parts={"train", "test"}))
    assert all("put it into one part" in one.remedy for one in together)


def test_what_was_left_out_is_told_by_folder_with_the_reason() -> None:
    """An unlabelled test/ and a labelled extra/ were passed over, and only scan.json said so."""
    left_out = [
        LeftOut(folder="test", photos=1200, reason="not in a class folder"),
        LeftOut(folder="", photos=2, reason="not listed in labels.csv"),
        LeftOut(folder="oak", photos=0, reason="an empty folder"),
    ]
    (found,) = findings(Observations(left_out=left_out))
    assert (found.severity, found.title) == ("note", "1202 photos were left out")
    assert found.evidence == (
        "1,200 in test/ (not in a class folder), 2 in the folder itself (not listed in labels.csv),"
        " oak/ (an empty folder)."
    )
    (empty,) = findings(Observations(left_out=left_out[2:]))
    assert empty.title == "There are empty folders"


def test_a_file_that_cannot_be_read_is_not_said_to_be_in_a_list_that_nobody_wrote() -> None:
    """`pcn inspect` writes nothing, and said that all are listed in unreadable.csv."""
    (found,) = findings(Observations(unreadable=[SkippedFile(file="a.jpg", reason="empty")]))
    assert found.remedy == "Replace or remove them; a run lists all in unreadable.csv, and so does pcn inspect --json."
