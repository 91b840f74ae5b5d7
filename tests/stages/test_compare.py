"""Two runs on the photos that both have: told by content, refused where there is nothing to compare."""

from pathlib import Path

import pytest

from pcn_cli.errors import DataError, RunError
from pcn_cli.records.codec import field_names
from pcn_cli.records.photos import SplitRow
from pcn_cli.records.predictions import AttentionNumbers, Prediction
from pcn_cli.records.run import RunRecord, StageRecord
from pcn_cli.runs.predictions import write_predictions
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.state import write_record
from pcn_cli.runs.store import write_split
from pcn_cli.stages.compare import compare_runs

NUMBERS = AttentionNumbers(**dict.fromkeys(field_names(AttentionNumbers), 0.5))


def make_run(path, said, *, classes=("a", "b"), kind="train", stages=("train", "evaluate")):
    """A run that measured photos: name, content, label, what it said."""
    run = RunDir(path)
    path.mkdir(parents=True)
    record = RunRecord(
        status="finished", created="2025-01-01T10:00:00+00:00", photos="/fruit", card="tiny", argv=("pcn",),
        versions={}, device="cpu", kind=kind, stages={name: StageRecord(seconds=1) for name in stages},
    )  # fmt: skip
    write_record(run, record)
    if "evaluate" in stages:
        rows = [SplitRow(file=file, label=label, split="test", sha256=content) for file, content, label, _ in said]
        predictions = [
            Prediction(
                file=file, predicted=guess, confidence=0.7, label=label, split="test", attention=NUMBERS,
                probabilities=tuple(0.7 if name == guess else 0.3 / (len(classes) - 1) for name in classes),
            )
            for file, _, label, guess in said
        ]  # fmt: skip
        write_split(run, rows)
        write_predictions(run.predictions, predictions, classes)
    return path


def test_photos_are_matched_by_content_and_label_and_classes_by_name(tmp_path):
    first = make_run(
        tmp_path / "one",
        [("1", "x1", "a", "a"), ("2", "x2", "a", "b"), ("3", "x3", "b", "b"), ("4", "x4", "b", "b"),
         ("5", "x5", "a", "c"), ("6", "x6", "a", "a"), ("7", "x7", "a", "a")],
        classes=("a", "b", "c"),
    )  # fmt: skip
    second = make_run(
        tmp_path / "two",
        [("new/3", "x3", "b", "a"), ("new/2", "x2", "a", "a"), ("new/1", "x1", "a", "a"), ("new/5", "x5", "a", "b"),
         ("new/6", "x6", "b", "b"), ("new/8", "x8", "b", "b")],
        classes=("c", "b", "a"),
    )  # fmt: skip
    found = compare_runs(first, second)
    assert (found.photos, found.only_first, found.only_second) == (4, 3, 2)
    assert (found.first_right, found.second_right, found.p_value) == (1, 1, 1.0)
    assert [(one.file, one.label, one.first, one.second, one.right) for one in found.flips] == [
        ("2", "a", "b", "a", "second"),
        ("3", "b", "b", "a", "first"),
        ("5", "a", "c", "b", ""),
    ]
    assert found.still_wrong == ()
    accuracy = found.differences[0]
    assert (accuracy.first, accuracy.second, accuracy.difference.value, accuracy.difference.n) == (0.5, 0.5, 0.0, 4)
    assert found.verdict == "one and two are right equally often of 4 photos, each on 1 that the other misses."


def test_what_both_get_wrong_in_the_same_way_is_told_apart_from_what_they_answer_differently(tmp_path):
    first = make_run(tmp_path / "one", [("1", "x", "a", "b"), ("2", "y", "b", "b"), ("3", "z", "b", "a")])
    second = make_run(tmp_path / "two", [("1", "x", "a", "b"), ("2", "y", "b", "b"), ("3", "z", "b", "b")])
    found = compare_runs(first, second)
    assert [(one.file, one.first, one.second, one.right) for one in found.still_wrong] == [("1", "b", "b", "")]
    assert [one.file for one in found.flips] == ["3"]


def test_a_run_is_called_by_the_name_of_its_folder_also_from_inside(tmp_path, monkeypatch):
    first = make_run(tmp_path / "one", [("1", "x", "a", "a"), ("2", "y", "b", "a")])
    second = make_run(tmp_path / "two", [("1", "x", "a", "a"), ("2", "y", "b", "b")])
    monkeypatch.chdir(second)
    assert compare_runs(first, ".").verdict.startswith("two is right on 1 more of 2 photos")


def test_copies_are_compared_as_often_as_both_have_them(tmp_path):
    first = make_run(tmp_path / "one", [("1", "x", "a", "a"), ("2", "x", "a", "b"), ("3", "y", "b", "b")])
    second = make_run(tmp_path / "two", [("1", "x", "a", "a"), ("3", "y", "b", "b")])
    found = compare_runs(first, second)
    assert (found.photos, found.only_first, found.only_second) == (2, 1, 0)


def test_runs_of_one_name_are_told_apart_by_their_paths(tmp_path):
    said = [("1", "x", "a", "a"), ("2", "y", "b", "b")]
    first, second = make_run(tmp_path / "one" / "run", said), make_run(tmp_path / "two" / "run", said)
    assert compare_runs(first, second).verdict == f"Of 2 photos, {first} and {second} are right on the same."


@pytest.mark.parametrize(
    ("made", "error", "message", "hint"),
    [
        ({"stages": ("train",)}, RunError, "other holds no evaluation", "pcn evaluate other"),
        ({"stages": ()}, RunError, "other holds no evaluation", "pcn finetune --resume other"),
        ({"stages": ("predict",), "kind": "predict"}, RunError, "other holds no evaluation", "--images PHOTOS"),
        ({"classes": ("a", "b", "c")}, DataError, "other classes: only other has c", "same classes"),
        ({"said": [("1", "z", "a", "a")]}, DataError, "no test photo in common", "--images PHOTOS"),
    ],
)
def test_what_cannot_be_compared_is_said(tmp_path, monkeypatch, made, error, message, hint):
    monkeypatch.chdir(tmp_path)
    said = [("1", "x", "a", "a")]
    make_run(Path("one"), said)
    make_run(Path("other"), **{"said": said, **made})
    with pytest.raises(error, match=message) as caught:
        compare_runs("one", "other")
    assert hint in caught.value.hint


def test_what_is_no_run_or_damaged_is_said(tmp_path):
    one = make_run(tmp_path / "one", [("1", "x", "a", "a")])
    with pytest.raises(RunError, match=r"is not a run folder: it has no run\.json"):
        compare_runs(one, tmp_path)
    other = make_run(tmp_path / "other", [("1", "x", "a", "a")])
    write_split(RunDir(other), ())
    with pytest.raises(RunError, match=r"predictions\.csv is damaged") as caught:
        compare_runs(one, other)
    assert caught.value.hint == f"pcn evaluate {other}"
