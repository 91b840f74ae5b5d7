import pytest

from pcn_cli.metrics.change import change_findings, find_change
from pcn_cli.records.photos import SplitRow
from pcn_cli.records.predictions import Prediction


def row(number, label, split="test"):
    return SplitRow(file=f"{number}.jpg", label=label, split=split, sha256=f"{number:064}")


def said(number, label, predicted):
    return Prediction(
        file=f"{number}.jpg",
        label=label,
        split="test",
        predicted=predicted,
        confidence=1.0,
        probabilities=(),
        attention=None,
    )


def test_old_photos_count_with_their_new_labels_and_new_classes_apart():
    old = [row(n, "cat" if n % 2 else "dog") for n in range(10)]
    new = [row(0, "cat"), *old[1:9], row(20, "cow"), row(21, "cow")]
    answers = [said(int(r.file[:-4]), r.label, r.label if r.file != "20.jpg" else "dog") for r in new]
    before = {one.sha256: "cat" for one in old}
    change = find_change("run-1", old, new, said_before=before, predictions=answers)
    assert (change.relabelled, change.added, change.gone) == (1, 2, 1)
    assert change.new_classes == ("cow",)
    assert (change.photos, change.before, change.after) == (9, 5, 9)
    assert (change.new_photos, change.new_right) == (2, 1)
    assert change.sentence == (
        "1 label corrected, 2 new photos, 1 photo left out: old classes 55.6 → 100.0 % right on the same 9"
        " test photos, could be chance; new class cow: 1 of 2"
    )
    assert change_findings(change) == ()


def test_a_loss_beyond_chance_is_a_finding_and_a_dropped_class_is_named():
    old = [row(n, "cat") for n in range(40)] + [row(50, "dog", "train")]
    before = {one.sha256: "cat" for one in old}
    answers = [said(n, "cat", "cow" if n < 12 else "cat") for n in range(40)]
    change = find_change("run-1", old, old[:40], said_before=before, predictions=answers)
    assert change.dropped_classes == ("dog",)
    assert (change.lost, change.gained) == (12, 0)
    assert "is hardly chance" in change.sentence
    (finding,) = change_findings(change)
    assert finding.severity == "warning"
    assert "run-1" in finding.title


def test_without_a_photo_in_common_nothing_is_compared():
    change = find_change("r", [row(1, "a")], [row(2, "a")], said_before={}, predictions=[said(2, "a", "a")])
    assert "no test photo in common" in change.sentence
    assert change.p_value == 1


def test_a_class_with_another_name_is_no_correction_and_is_compared():
    """24 renamed tulips were 24 corrections, and fell out of the comparison."""
    old = [row(n, "cat" if n % 2 else "dog") for n in range(10)]
    new = [row(n, "cat" if n % 2 else "hound") for n in range(10)]
    before = {one.sha256: one.label for one in old}
    answers = [said(n, one.label, "cat") for n, one in enumerate(new)]
    change = find_change("run-1", old, new, said_before=before, predictions=answers)
    assert (change.relabelled, change.new_classes, change.dropped_classes) == (0, (), ())
    assert (change.photos, change.before, change.after) == (10, 10, 5)
    assert change.sentence.startswith("dog is called hound: 100.0 → 50.0 % right on the same 10 test photos")


@pytest.mark.parametrize(
    "now",
    [
        {0: "hound", 2: "dog", 4: "hound"},  # a part of them
        {0: "cat", 2: "cat", 4: "cat"},  # joined to another
        {0: "hound", 2: "wolf", 4: "wolf"},  # divided
        {0: "pet", 1: "pet", 2: "pet", 3: "pet", 4: "pet"},  # two that became one
    ],
)
def test_other_changes_of_labels_are_corrections(now):
    old = [row(n, "cat" if n % 2 else "dog") for n in range(5)]
    new = [row(n, now.get(n, one.label)) for n, one in enumerate(old)]
    answers = [said(n, one.label, "cat") for n, one in enumerate(new)]
    change = find_change("run-1", old, new, said_before={one.sha256: "cat" for one in old}, predictions=answers)
    assert change.relabelled == sum(one.label != other.label for one, other in zip(old, new, strict=True))
    assert "is called" not in change.sentence
