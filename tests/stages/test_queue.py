import json

import pytest
from typer.testing import CliRunner

import pcn_cli
from pcn_cli.cli.app import app
from pcn_cli.errors import DataError, RecipeError, ResourceError, RunError
from pcn_cli.files.atomic import read_csv
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.state import update_record
from pcn_cli.runs.store import CANDIDATES, DESK, read_split
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.queue import queue_photos
from pcn_cli.stages.train.frozen import PROBE, REGRESSION

SMALL = {
    "tune": "probe",
    "settings": ["data.size=64", "explain.checks=0", "explain.overlays=0", "train.probe_epochs=1"],
}


@pytest.fixture
def first(photo_folder):
    """A run of the photos; a third of each class lies unlabelled in a folder, with a copy and a known photo."""
    new = photo_folder.parent / "new"
    new.mkdir()
    for label in ("blue", "green", "red"):
        for number in range(4):
            (photo_folder / label / f"{number:02}.jpg").rename(new / f"{label}-{number}.jpg")
    (new / "copy.jpg").write_bytes((new / "red-0.jpg").read_bytes())
    (new / "known.jpg").write_bytes((photo_folder / "red" / "11.jpg").read_bytes())
    return RunDir(pcn_cli.finetune(photo_folder, model="nano", **SMALL).run)


def test_a_queue_is_a_desk_a_table_and_tasks_and_trains_the_next_run(first, photo_folder, tmp_path):
    made = queue_photos(photo_folder.parent / "new", 6, model=first.root)
    files = [card.file for card in made.desk.cards]
    assert len(set(files)) == 6
    assert "known.jpg" not in files
    assert not {"copy.jpg", "red-0.jpg"} <= set(files)
    assert [row["file"] for row in read_csv(made.run.queue)] == files
    assert [task["data"]["file"] for task in json.loads(made.run.label_studio.read_text())] == files
    assert DESK.read(made.run) == made.desk
    assert all(len(card.near) == 4 for card in made.desk.cards)
    assert 'id="desk-work"' in made.report.read_text(encoding="utf-8")
    with pytest.raises(RunError, match="holds answers, and no model of its own"):
        queue_photos(photo_folder.parent / "new", 6, model=made.run.root)

    lines = [f"{file},add,{file.split('-')[0].replace('copy.jpg', 'red')},{made.desk.folder}" for file in files]
    table = tmp_path / "decisions.csv"
    table.write_text("file,decision,new_label,folder\n" + "\n".join(lines) + "\n", encoding="utf-8")
    update_record(first, kept=REGRESSION)  # on so few photos both answer all of them rightly
    callback, told = Callback(), []
    callback.on_note = told.append
    outcome = pcn_cli.finetune(photo_folder, model=first.root, decisions=table, callback=callback, **SMALL)
    rows = read_split(RunDir(outcome.run))
    known = {row.sha256: row.split for row in read_split(first)}
    assert len(rows) == len(known) + 6
    assert known.items() <= {row.sha256: row.split for row in rows}.items()
    assert outcome.change.added == 6
    # Of the photos to learn from at most a quarter is new: what the first run compared is not compared again.
    assert {PROBE, REGRESSION} <= {one.name for one in CANDIDATES.read(first)}
    assert PROBE not in {one.name for one in CANDIDATES.find(RunDir(outcome.run)) or ()}
    assert any(text.startswith(f"{PROBE}: not tried, as {first.root.name}, which this begins with") for text in told)


def test_the_command_says_what_comes_next(first, photo_folder):
    new = str(photo_folder.parent / "new")
    (photo_folder.parent / "new" / "torn.jpg").write_bytes(b"\xff\xd8\xff")
    result = CliRunner().invoke(app, ["predict", new, "--queue", "30", "--model", str(first.root), "--output", "q"])
    assert result.exit_code == 0, result.output
    assert "12 photos are worth a label first" in result.output
    said = " ".join(result.output.split())
    assert "only 12 of the 30 photos asked for: left out of the folder are" in said
    for why in (f"1 known to {first.root}", "1 copies of others", "1 unreadable"):
        assert "".join(why.split()) in "".join(said.split()), said
    assert "--decisions decisions.csv" in result.output
    for idle in (["--overlay", "x"], ["--refuse-unlike"], ["--precision", "float32"], ["--strict"]):
        refused = CliRunner().invoke(app, ["predict", new, "--queue", "3", *idle])
        assert isinstance(refused.exception, RecipeError)
        assert f"{idle[0]} has no effect with --queue" in str(refused.exception)


def test_boxes_are_refused_with_the_reason_and_what_to_type():
    """It said no more than that one of the two is to be left out."""
    words = ["predict", "my photos", "--queue", "3", "--crop-boxes", "boxes.csv"]
    refused = CliRunner().invoke(app, words).exception
    assert "the boxes of one photo could come into two parts" in refused.message
    assert "pcn predict 'my photos' --queue 3, or" in refused.hint
    assert refused.hint.endswith("pcn predict 'my photos' --crop-boxes boxes.csv --csv")


def test_what_can_give_no_queue_is_told_before_photos_are_scored(first, photo_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("pcn_cli.stages.queue._score", lambda *_, **__: pytest.fail("scored them"))
    with pytest.raises(DataError, match=r"no photo that .* does not know"):
        queue_photos(photo_folder / "red", 5, model=first.root)
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "mine.txt").touch()
    for place in (taken, first.root):
        with pytest.raises(RunError, match="is there already"):
            queue_photos(photo_folder.parent / "new", 6, model=first.root, output=place)
    for place in (taken / "mine.txt", taken / "mine.txt" / "run", photo_folder.parent / "new" / "run"):
        with pytest.raises(ResourceError):
            queue_photos(photo_folder.parent / "new", 6, model=first.root, output=place)
