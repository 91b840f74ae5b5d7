"""Boxes as examples, the whole way: trained, reported, decided about, predicted and evaluated."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import pcn_cli
from pcn_cli.cli.app import app
from pcn_cli.errors import DataError, PcnError, RecipeError
from pcn_cli.files.atomic import read_csv, write_csv
from pcn_cli.recipe.schema import Labelling
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.state import photo_root, read_record
from pcn_cli.runs.store import read_split
from pcn_cli.stages.evaluate_run import evaluate
from pcn_cli.stages.report import report

KINDS = ("blue", "green", "red")
OPTIONS = {"tune": "probe", "size": 32, "settings": ["train.probe_epochs=2"]}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> Path:
    """24 photos in one folder with two things of different kinds each, and boxes.csv beside it, which names them."""
    folder, rng = tmp_path_factory.mktemp("scenes"), np.random.default_rng(0)
    (folder / "photos").mkdir()
    rows = []
    for number in range(24):
        pixels = rng.integers(0, 40, (48, 96, 3), dtype=np.uint8)
        for place in range(2):
            kind, left = (number + place) % 3, 48 * place + int(rng.integers(0, 8))
            thing = rng.integers(0, 120, (36, 40, 3), dtype=np.uint8)
            thing[..., 2 - kind] += 100
            pixels[6:42, left : left + 40] = thing
            rows.append((f"{number:02}.jpg", KINDS[kind], left, 6, left + 39, 41, 96, 48))
        Image.fromarray(pixels).save(folder / "photos" / f"{number:02}.jpg", quality=92)
    write_csv(folder / "boxes.csv", ("file", "label", "xmin", "ymin", "xmax", "ymax", "width", "height"), rows)
    return folder


@pytest.fixture(scope="module")
def run(scenes, tiny_weights) -> RunDir:
    """A finished run on the boxes."""
    return RunDir(
        pcn_cli.finetune(
            scenes / "photos", model=tiny_weights, crop_boxes=scenes / "boxes.csv", output=scenes / "run", **OPTIONS
        ).run
    )


def test_each_box_is_an_example_and_the_boxes_of_a_photo_are_in_one_part(scenes, run):
    rows = read_split(run)
    assert sorted(row.file for row in rows) == sorted(f"{n:02}.jpg#{m}" for n in range(24) for m in (1, 2))
    parts: dict[str, set[str]] = {}
    for row in rows:
        parts.setdefault(row.file.partition("#")[0], set()).add(row.split)
    assert all(len(own) == 1 for own in parts.values())
    assert {part for own in parts.values() for part in own} == {"train", "val", "test"}
    labels = {f"{one['file']}": one["label"] for one in read_csv(scenes / "boxes.csv")}
    assert {row.label for row in rows} == set(labels.values())
    assert read_record(run).photos == str(scenes / "photos")
    assert photo_root(run) == run.crops.absolute()
    assert sorted(path.name for path in scenes.iterdir()) == ["boxes.csv", "photos", "run"]  # nothing is left beside it
    scan = json.loads(run.scan.read_text())
    assert (scan["root"], len(scan["photos"])) == (str(scenes / "photos"), 48)


def test_answers_have_readable_names_and_the_report_shows_the_crops(run):
    tested = [row.file for row in read_split(run) if row.split == "test"]
    assert sorted(row["file"] for row in read_csv(run.predictions)) == sorted(tested)
    report(run.root)
    pages = (path for path in run.report.rglob("*") if path.suffix in (".html", ".js", ".json"))
    assert any(tested[0] in path.read_text(encoding="utf-8") for path in pages)
    assert not read_csv(run.unreadable)


def test_a_run_is_measured_again_from_its_crops_wherever_it_lies(scenes, run, tmp_path):
    before, home = read_csv(run.predictions), run.root
    home.rename(tmp_path / "moved")
    run = RunDir(tmp_path / "moved")
    again = evaluate(run.root)
    assert [one.file for one in again.predictions] == [row["file"] for row in before]
    assert pcn_cli.finetune(resume=run.root).run == run.root
    with pytest.raises(RecipeError, match="--photos has no effect"):
        evaluate(run.root, photos=scenes / "photos")
    run.root.rename(home)


def test_predict_answers_each_box_as_the_run_did_and_tells_where_it_is(scenes, run, tmp_path):
    answers = pcn_cli.predict(
        scenes / "photos",
        model=run.root,
        crop_boxes=scenes / "boxes.csv",
        overlay=tmp_path / "maps",
        sort_into=tmp_path / "sorted",
    )
    assert len(answers) == 48
    known = {row["file"]: row for row in read_csv(run.predictions)}
    for answer in answers:
        name = Path(answer["file"]).name
        if name in known:
            assert (answer["label"], answer["confidence"]) == (
                known[name]["predicted"],
                pytest.approx(float(known[name]["confidence"]), abs=1e-5),
            )
    box = read_csv(scenes / "boxes.csv")[1]
    assert answers[1]["file"] == str(scenes / "photos" / "00.jpg") + "#2"
    assert answers[1]["box"] == (int(box["xmin"]), 6, int(box["xmax"]) + 1, 42)
    assert (tmp_path / "maps" / "00#2.png").is_file()
    assert len(list((tmp_path / "sorted").rglob("*.png"))) == 48
    with pytest.raises(RecipeError, match="--crop-confidence has no effect without --crop-boxes"):
        pcn_cli.predict(scenes / "photos", model=run.root, crop_confidence=0.5)


def test_boxes_of_new_photos_are_reported_as_they_are_predicted_and_need_no_label(scenes, run, tmp_path):
    new, boxes = tmp_path / "new", tmp_path / "boxes.csv"
    new.mkdir()
    for number in range(3):
        shutil.copy(scenes / "photos" / f"{number:02}.jpg", new)
    (new / "torn.jpg").write_bytes(b"\xff\xd8\xff")
    lines = (scenes / "boxes.csv").read_text().splitlines()
    torn = "torn.jpg,,0,6,39,41,96,48"
    written = [line.replace(f",{line.split(',')[1]},", ",,", 1) for line in lines[1:]]
    boxes.write_text("\n".join([lines[0], *written, torn]))
    page = report(run.root, images=new, labelling=Labelling(crop_boxes=str(boxes)), output=tmp_path / "runs" / "said")
    said = RunDir(tmp_path / "runs" / "said")
    answers = {row["file"]: row["predicted"] for row in read_csv(said.predictions)}
    assert sorted(answers) == [f"{n:02}.jpg#{m}" for n in range(3) for m in (1, 2)]
    predicted = pcn_cli.predict(new, model=run.root, crop_boxes=boxes)
    assert answers == {Path(one["file"]).name: one["label"] for one in predicted if not one["error"]}
    assert [row["file"] for row in read_csv(said.unreadable)] == ["torn.jpg"]
    assert sorted(path.name for path in said.crops.rglob("*")) == sorted(answers)
    assert photo_root(said) == said.crops.absolute()
    assert len(list((page.parent / "img").glob("[0-9].webp"))) == 6
    assert [path.name for path in said.root.parent.iterdir()] == ["said"]  # nothing is left beside it
    report(said.root)  # again, from the crops in the run


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--crop-boxes", "boxes.csv"], "--crop-boxes has no effect without --images"),
        (["--crop-category", "animal"], "--crop-category has no effect without --images"),
        (["--images", "photos", "--crop-confidence", "0.5"], "--crop-confidence has no effect without --crop-boxes"),
        (
            ["--images", "photos", "--crop-boxes", "boxes.csv", "--output", "photos/said"],
            "lies inside the photos folder",
        ),
        (["--images", "photos", "--crop-boxes", "nowhere.csv"], "there is no table nowhere.csv"),
    ],
)
def test_boxes_of_a_report_are_refused_where_they_have_no_effect(scenes, run, monkeypatch, options, words):
    monkeypatch.chdir(scenes)
    result = CliRunner().invoke(app, ["report", str(run.root), *options])
    assert isinstance(result.exception, PcnError)
    assert words in str(result.exception)


def test_other_boxes_are_evaluated_into_a_run_of_their_own(scenes, run, tmp_path):
    (tmp_path / "few.csv").write_text("".join((scenes / "boxes.csv").read_text().splitlines(keepends=True)[:7]))
    labelling = Labelling(crop_boxes=str(tmp_path / "few.csv"))
    measured = evaluate(run.root, images=scenes / "photos", labelling=labelling, output=tmp_path / "measured")
    assert [one.file for one in measured.predictions] == [f"{n:02}.jpg#{m}" for n in range(3) for m in (1, 2)]
    assert (tmp_path / "measured" / "crops" / "00.jpg#1").is_file()


def test_decisions_about_boxes_are_followed_and_known_boxes_keep_their_part(scenes, run, tiny_weights, tmp_path):
    (first, *_), parts = read_split(run), {row.file: row.split for row in read_split(run)}
    other = next(kind for kind in KINDS if kind != first.label)
    decision = (first.file, first.sha256, first.label, "change", other)
    write_csv(tmp_path / "decisions.csv", ("file", "sha256", "label", "decision", "new_label"), [decision])
    outcome = pcn_cli.finetune(
        scenes / "photos",
        model=run.root,
        crop_boxes=scenes / "boxes.csv",
        decisions=tmp_path / "decisions.csv",
        output=tmp_path / "again",
        **OPTIONS,
    )
    rows = {row.file: row for row in read_split(RunDir(outcome.run))}
    assert rows[first.file].label == other
    assert {file: row.split for file, row in rows.items()} == parts


def test_a_plan_cuts_nothing_that_stays_and_a_wrong_file_is_refused_at_once(scenes, tiny_weights, tmp_path):
    options = {"model": tiny_weights, "tune": "probe", "size": 32}
    planned = pcn_cli.finetune(scenes / "photos", crop_boxes=scenes / "boxes.csv", dry_run=True, **options)
    assert planned.plan is not None
    assert len(planned.plan.rows) == 48
    (tmp_path / "none.csv").write_text("file,label\na,b\n")
    with pytest.raises(DataError, match="no column 'xmin'"):
        pcn_cli.finetune(scenes / "photos", crop_boxes=tmp_path / "none.csv", **options)
    with pytest.raises(RecipeError, match="--crop-category has no effect"):
        pcn_cli.finetune(scenes / "photos", crop_category="animal", **options)
    assert not Path("runs").exists()
