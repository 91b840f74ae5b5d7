"""Leaks are told before any number, in the files, and stop a training that was asked to stop for them."""

import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

import pcn_cli
from pcn_cli.data.scan.decode import inspect_file, keep_seen
from pcn_cli.errors import DataError, RecipeError
from pcn_cli.files.atomic import read_csv
from pcn_cli.recipe.schema import Labelling
from pcn_cli.runs.rundir import RunDir
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.evaluate_run import evaluate
from pcn_cli.stages.photos import scan_folder
from pcn_cli.stages.predict import predict_into_run

QUICK = {"tune": "probe", "size": 32, "settings": ["train.probe_epochs=1"]}
TITLES = ["1 photo leaks from one part into another", "1 picture has two labels"]


class Heard(Callback):
    """What was told, in order."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def on_stage(self, title: str) -> None:
        self.told.append(title)

    def on_finding(self, finding) -> None:
        self.told.append(finding.title)


@pytest.fixture
def leaking(photo_folder):
    """The user's own split, with one training photo in the test part as well, and one under another label."""
    for label in ("blue", "green", "red"):
        for part, numbers in (("train", range(6)), ("val", range(6, 9)), ("test", range(9, 12))):
            (photo_folder / part / label).mkdir(parents=True)
            for number in numbers:
                (photo_folder / label / f"{number:02}.jpg").rename(photo_folder / part / label / f"{number:02}.jpg")
        (photo_folder / label).rmdir()
    shutil.copy(photo_folder / "train/red/00.jpg", photo_folder / "test/red/again.jpg")
    shutil.copy(photo_folder / "train/red/01.jpg", photo_folder / "train/blue/again.jpg")
    return photo_folder


def test_fail_on_leak_ends_before_anything_is_written(leaking, tiny_weights):
    with pytest.raises(DataError, match=TITLES[0]) as caught:
        pcn_cli.finetune(leaking, model=tiny_weights, fail_on="leak", **QUICK)
    assert caught.value.exit_code == 3
    assert "test/red/again.jpg (test) = train/red/00.jpg (train)" in caught.value.message
    assert not Path("runs").exists()


def test_leaks_are_told_before_training_and_kept_with_the_run(leaking, tiny_weights):
    heard = Heard()
    outcome = pcn_cli.finetune(leaking, model=tiny_weights, callback=heard, **QUICK)
    assert heard.told[:4] == ["scan and split", *TITLES, "train"]
    written = json.loads((outcome.run / "findings.json").read_text())
    assert [finding["title"] for finding in written[:2]] == TITLES
    assert [finding.title for finding in outcome.findings[:2]] == TITLES
    assert TITLES[0] in (outcome.run / "report" / "index.html").read_text()
    parts = {row["file"]: row["split"] for row in read_csv(outcome.run / "split.csv")}
    assert all(file.startswith(part) for file, part in parts.items())  # the user's own split is never changed


def test_groups_by_name_stay_together_through_the_whole_path(photo_folder, tiny_weights):
    outcome = pcn_cli.finetune(photo_folder, model=tiny_weights, group_by=r"(\d)\.jpg", fail_on="leak", **QUICK)
    parts: dict[str, set[str]] = {}
    for row in read_csv(outcome.run / "split.csv"):
        assert row["group"] == row["file"][-5]
        parts.setdefault(row["group"], set()).add(row["split"])
    assert len(parts) == 10
    assert all(len(found) == 1 for found in parts.values())
    assert "group_by: (\\d)\\.jpg" in (outcome.run / "recipe.yaml").read_text()


def test_an_unknown_cause_is_refused(photo_folder, tiny_weights):
    with pytest.raises(RecipeError, match="fail_on: should be 'leak', found 'drift'"):
        pcn_cli.finetune(photo_folder, model=tiny_weights, fail_on="drift", **QUICK)


class Noting(Heard):
    """What was told, the notes among it."""

    def on_note(self, text: str) -> None:
        self.told.append(text)


def test_finetune_says_what_it_assumed_and_what_it_left_out(photo_folder, tiny_weights):
    """An unlabelled test/ and a class that only dev/ had were in scan.json alone."""
    for label in ("blue", "green", "red"):
        for part, numbers in (("Training", range(8)), ("dev", range(8, 12))):
            target = photo_folder / part / (label if (part, label) != ("dev", "red") else "new")
            target.mkdir(parents=True)
            for number in numbers:
                (photo_folder / label / f"{number:02}.jpg").rename(target / f"{number:02}.jpg")
        (photo_folder / label).rmdir()
    shutil.copytree(photo_folder / "dev/new", photo_folder / "test")
    heard = Noting()
    outcome = pcn_cli.finetune(photo_folder, model=tiny_weights, callback=heard, **QUICK)
    before = heard.told[: heard.told.index("train")]
    expected = [
        "parts by folder: Training/ is train, dev/ is val",
        "1 class has no photo to learn from",
        "The val part has no photo of 1 class",
        "4 photos were left out",
    ]
    assert [text for text in before if text in expected] == expected
    titles = {finding["title"] for finding in json.loads((outcome.run / "findings.json").read_text())}
    assert titles >= set(expected[1:])
    again = {finding.title for finding in evaluate(outcome.run).findings}
    assert again >= set(expected[1:])


@pytest.fixture
def truncated(photo_folder):
    """A quarter of the photos ends too early."""
    for number in (0, 3, 6):
        for label in ("blue", "green", "red"):
            path = photo_folder / label / f"{number:02}.jpg"
            content = path.read_bytes()
            path.write_bytes(content[: int(0.9 * len(content))])
    return photo_folder


def test_truncated_photos_are_used_where_asked_and_those_that_were_trained_on_are_told(truncated, tiny_weights):
    with pytest.raises(DataError, match="9 of 36 files are unreadable") as caught:
        pcn_cli.finetune(truncated, model=tiny_weights, **QUICK)
    assert caught.value.hint.endswith("; --load-truncated uses truncated ones")
    asked = {
        "settings": [*QUICK["settings"], "train.final_epochs=0", "train.epochs=1", "explain.checks=0"],
        "tune": "all",
        "size": 32,
    }
    outcome = pcn_cli.finetune(truncated, model=tiny_weights, load_truncated=True, fail_on="leak", **asked)
    (finding,) = (one for one in outcome.findings if "truncated" in one.title)
    assert finding.title == "9 truncated photos are used"
    assert "blue/00.jpg (" in finding.evidence
    rows = read_csv(outcome.run / "split.csv")
    assert len(rows) == 36
    again = evaluate(outcome.run)
    assert again.metrics == outcome.metrics
    assert finding in again.findings
    assert not any("leak" in one.title for one in again.findings)
    elsewhere = evaluate(outcome.run, images=truncated, labelling=Labelling(load_truncated=True))
    assert len(elsewhere.rows) == 36
    trained_on = sum(row["split"] != "test" for row in rows)
    titles = [one.title for one in elsewhere.findings if one.title != finding.title]
    assert titles[0] == f"{trained_on} photos leak from one part into another"
    answered = predict_into_run(RunDir(outcome.run), truncated, output=None, device=None, callback=Callback())
    assert len(read_csv(answered.predictions)) == 36
    with pytest.raises(RecipeError, match="--load-truncated has no effect without --images"):
        evaluate(outcome.run, labelling=Labelling(load_truncated=True))


def test_a_pattern_for_labels_is_kept_with_the_run(photo_folder, tiny_weights):
    outcome = pcn_cli.finetune(photo_folder, model=tiny_weights, label_from="^(blue|red)/", **QUICK)
    assert {row["label"] for row in read_csv(outcome.run / "split.csv")} == {"blue", "red"}
    assert "label_from: ^(blue|red)/" in (outcome.run / "recipe.yaml").read_text()
    measured = evaluate(outcome.run, images=photo_folder, labelling=Labelling(label_from="^(red)/"))
    assert {row.label for row in measured.rows} == {"red"}
    with pytest.raises(RecipeError, match="--label-from has no effect without --images"):
        evaluate(outcome.run, labelling=Labelling(label_from="x"))


def test_photos_that_are_one_burst_are_refused_with_the_reason(photo_folder, tiny_weights):
    """Only copies: "36 photos are too few to be divided"."""
    for label in ("blue", "green", "red"):
        for number in range(1, 12):
            shutil.copy(photo_folder / label / "00.jpg", photo_folder / label / f"{number:02}.jpg")
    with pytest.raises(DataError, match="36 photos, 3 that differ, are too few to be divided"):
        pcn_cli.finetune(photo_folder, model=tiny_weights, **QUICK)


def test_a_photo_that_an_earlier_scan_saw_is_not_decoded_again(photo_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("PCN_CACHE", str(tmp_path / "cache"))
    truth = scan_folder(photo_folder)
    (seen,) = (tmp_path / "cache").rglob("*.sqlite")
    first = truth.photos[0]
    keep_seen([replace(inspect_file(photo_folder / first.file), width=777)], seen)  # what no decoder would say
    shutil.copytree(photo_folder, tmp_path / "copy")
    again = scan_folder(tmp_path / "copy")
    assert again.photos == (replace(first, width=777), *truth.photos[1:])
    assert again.near_duplicates == truth.near_duplicates


def test_an_interrupted_scan_keeps_what_it_saw(photo_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("PCN_CACHE", str(tmp_path / "cache"))

    class Stopping(Callback):
        def on_progress(self, what: str, done: int, total: int) -> None:
            if done == 5:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan_folder(photo_folder, callback=Stopping())
    (seen,) = (tmp_path / "cache").rglob("*.sqlite")
    with closing(sqlite3.connect(seen)) as database:
        assert database.execute("select count(*) from texts").fetchone() == (5,)
