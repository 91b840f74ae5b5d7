import csv
import json

import pytest
from PIL import Image

import pcn_cli
from pcn_cli.data.scan.decisions import Decisions
from pcn_cli.errors import DataError
from pcn_cli.files.atomic import read_csv, sha256_of
from pcn_cli.records.decisions import Decision
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


def test_typed_decisions_follow_their_photos_wherever_these_lie_later(first, photo_folder, tmp_path):
    """Without a hash, a renamed photo came back and another one of its name was taken for it."""
    rows = read_split(first)
    changed, gone = (next(row for row in rows if row.split == part) for part in ("train", "test"))
    other = next(name for name in ("red", "blue") if name != changed.label)
    typed = [(changed.file, "", "", "change", other), (gone.file, "", "", "remove", "")]
    table = decide(tmp_path / "d.csv", typed)
    second = RunDir(pcn_cli.finetune(photo_folder, model=first.root, decisions=table, **SMALL).run)
    kept = {row["decision"]: row["sha256"] for row in read_csv(second.decisions)}
    assert kept == {"change": changed.sha256, "remove": gone.sha256}
    for number, row in enumerate((changed, gone)):
        (photo_folder / row.file).rename((photo_folder / row.file).with_name(f"renamed {number}.png"))
    add = Image.effect_noise((40, 40), 90).convert("RGB")
    add.save(photo_folder / changed.file)  # another photo under the name of the one that was corrected
    outcome = pcn_cli.finetune(photo_folder, model=second.root, **SMALL)
    third = {row.sha256: row.label for row in read_split(RunDir(outcome.run))}
    assert third[changed.sha256] == other
    assert gone.sha256 not in third
    assert third[sha256_of(photo_folder / changed.file)] == changed.label


def test_a_typed_decision_takes_the_place_of_an_earlier_one_with_a_hash():
    earlier = Decision(file="a.jpg", sha256="f" * 64, decision="change", new_label="roses")
    new = Decision(file="a.jpg", decision="change", new_label="tulips")
    assert Decisions(earlier=(earlier,), new=(new,)).all == (new,)
