import csv
import json

import pytest

import pcn_cli
from pcn_cli.errors import DataError
from pcn_cli.files.atomic import read_csv
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.store import read_split

SMALL = {"tune": "probe", "settings": ["data.size=64", "explain.checks=0", "explain.overlays=0"]}


@pytest.fixture
def first(photo_folder):
    return RunDir(pcn_cli.finetune(photo_folder, model="nano", **SMALL).run)


def decide(path, rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([("file", "sha256", "label", "decision", "new_label"), *rows])
    return path


def parts_of(run):
    return {row.sha256: row.split for row in read_split(run)}


def test_corrected_labels_are_used_the_split_is_kept_and_the_run_says_what_changed(first, photo_folder, tmp_path):
    rows = read_split(first)
    tested, trained = (next(row for row in rows if row.split == part) for part in ("test", "train"))
    gone = next(row for row in rows if row.split == "train" and row != trained)
    other = {row.file: next(name for name in ("red", "blue") if name != row.label) for row in (tested, trained)}
    decisions = [(row.file, row.sha256, row.label, "change", other[row.file]) for row in (tested, trained)]
    table = decide(tmp_path / "d.csv", [*decisions, (gone.file, gone.sha256, gone.label, "remove", "")])
    outcome = pcn_cli.finetune(photo_folder, model=first.root, decisions=table, **SMALL)
    second = RunDir(outcome.run)
    labels = {row.file: row.label for row in read_split(second)}
    assert {file: labels[file] for file in other} == other
    assert gone.file not in labels
    assert parts_of(second) == {key: part for key, part in parts_of(first).items() if key != gone.sha256}
    assert (
        next(row["label"] for row in read_csv(second.predictions) if row["file"] == tested.file) == other[tested.file]
    )
    change = outcome.change
    assert (change.relabelled, change.gone, change.photos) == (2, 1, len(read_csv(first.predictions)))
    assert change.sentence.startswith("2 labels corrected, 1 photo left out: ")
    assert json.loads(second.change.read_text())["sentence"] == change.sentence
    # A run that begins there knows them still, and the recipe works on its own.
    table.unlink()
    third = RunDir(pcn_cli.finetune(photo_folder, model=second.root, **SMALL).run)
    assert {row.file: row.label for row in read_split(third)} == labels
    again = RunDir(pcn_cli.finetune(photo_folder, recipe=second.recipe, output="again").run)
    assert {row.file: row.label for row in read_split(again)} == labels


def test_a_table_without_a_decision_is_no_wish(photo_folder, tmp_path):
    with pytest.raises(DataError, match=r"d\.csv decides nothing"):
        pcn_cli.finetune(photo_folder, model="nano", decisions=decide(tmp_path / "d.csv", []), **SMALL)


def test_a_table_that_cannot_be_followed_leaves_no_run(photo_folder, tmp_path):
    table = decide(tmp_path / "d.csv", [("red/00.jpg", "", "", "change", "rde")])
    with pytest.raises(DataError, match="there is no class rde; red is near"):
        pcn_cli.finetune(photo_folder, model="nano", decisions=table, output="never", **SMALL)
    assert not RunDir(tmp_path / "work" / "never").root.exists()
