"""A run passes on what it knows: photos are read as rarely as can be."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

import pcn_cli
from pcn_cli.errors import RecipeError, ResourceError, RunError, command
from pcn_cli.files import atomic
from pcn_cli.files.atomic import read_csv
from pcn_cli.records.photos import Box
from pcn_cli.runs.evaluation import read_evaluation
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.state import read_record
from pcn_cli.runs.store import read_recipe, write_boxes
from pcn_cli.stages import evaluate_run as stage
from pcn_cli.stages.evaluate_run import evaluate
from pcn_cli.stages.photos import scan_folder
from pcn_cli.stages.report import report

SETTINGS = ["train.probe_epochs=1", "explain.overlays=0", "explain.checks=0"]


def test_each_photo_is_hashed_once_in_a_run_and_again_by_a_later_command(photo_folder, tiny_weights, monkeypatch):
    hashed: Counter[Path] = Counter()

    def count(path: Path) -> str:
        hashed[path] += 1
        return atomic.sha256_of(path)

    monkeypatch.setattr("pcn_cli.data.split.sha256_of", count)
    run = RunDir(pcn_cli.finetune(photo_folder, model=tiny_weights, tune="probe", size=32, settings=SETTINGS).run)
    assert not hashed  # the scan, which decodes every photo anyway, took the hashes that stand in the split
    assert all(photo.sha256 for photo in read_evaluation(run).scan.photos)
    evaluate(run.root)
    photos = sorted(photo_folder.rglob("*.jpg"))
    assert sorted(hashed) == photos
    assert set(hashed.values()) == {1}


def test_a_report_is_made_of_what_the_evaluation_gave_and_of_the_pictures_that_an_earlier_one_made(
    photo_folder, tiny_weights, monkeypatch
) -> None:
    monkeypatch.setattr("pcn_cli.report.pictures._LEAST_KEPT", 1)  # pictures of photos as small as these are kept
    with monkeypatch.context() as patched:
        patched.setattr("pcn_cli.stages.report.read_evaluation", lambda _: pytest.fail("read again"))
        outcome = pcn_cli.finetune(photo_folder, model=tiny_weights, tune="probe", size=32, settings=SETTINGS)
    first = {path.relative_to(outcome.run): path.read_bytes() for path in sorted(outcome.report.parent.rglob("*.*"))}
    monkeypatch.setattr("pcn_cli.stages.report.open_reduced", lambda *_, **__: pytest.fail("opened again"))
    report(outcome.run)
    again = {path.relative_to(outcome.run): path.read_bytes() for path in sorted(outcome.report.parent.rglob("*.*"))}
    assert first == again


def test_the_seconds_of_the_scan_are_those_of_reading_the_photos(photo_folder, tiny_weights, monkeypatch) -> None:
    clock = iter(range(10**6))
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    scanned = []

    def scan(*_: object, **__: object) -> object:
        for _ in range(1000):
            next(clock)
        scanned.append(next(clock))
        return scan_folder(photo_folder)

    monkeypatch.setattr("pcn_cli.stages.plan.scan_folder", scan)
    run = RunDir(pcn_cli.finetune(photo_folder, model=tiny_weights, tune="probe", size=32, settings=SETTINGS).run)
    assert scanned
    assert read_record(run).stages["scan"].seconds > 1000


def test_what_an_evaluation_gives_is_what_its_files_hold(photo_folder, tiny_weights, monkeypatch):
    given = []

    def keep(evaluation: object) -> None:
        given.append(evaluation)

    monkeypatch.setattr(stage, "write_model_card", keep)
    outcome = pcn_cli.finetune(photo_folder, model=tiny_weights, tune="probe", size=32, settings=SETTINGS)
    read = read_evaluation(RunDir(outcome.run))
    assert given == [read]
    assert (outcome.metrics, outcome.per_class) == (read.metrics, read.per_class)
    assert (outcome.candidates, outcome.findings) == (read.candidates, read.findings)


def test_the_recipe_of_a_run_names_the_boxes_of_its_own_photos(photo_folder, tiny_weights, tmp_path):
    def box_each(files: list[str], table: str) -> Path:
        boxes = [Box(file=file, label="", xmin=0, ymin=0, xmax=9, ymax=9, width=56, height=40) for file in files]
        write_boxes(tmp_path / table, boxes)
        return tmp_path / table

    files = sorted(path.relative_to(photo_folder).as_posix() for path in photo_folder.rglob("*.jpg"))
    options = {"tune": "probe", "size": 32, "boxes": box_each(files, "own.csv"), "settings": SETTINGS}
    trained = pcn_cli.finetune(photo_folder, model=tiny_weights, **options)
    assert "pointing_game" in trained.metrics
    others = tmp_path / "others"
    shutil.copytree(photo_folder / "red", others / "red")
    for path in sorted((others / "red").iterdir()):
        path.rename(path.with_name(f"other {path.name}"))
    without = evaluate(trained.run, images=others)
    assert "pointing_game" not in without.metrics
    assert read_recipe(without.run).evaluate.boxes is None
    table = box_each([path.relative_to(others).as_posix() for path in others.rglob("*.jpg")], "others.csv")
    boxed = evaluate(trained.run, images=others, boxes=table)
    assert "pointing_game" in boxed.metrics
    assert read_recipe(boxed.run).evaluate.boxes == str(table)


@pytest.mark.parametrize("tune", ["probe", "all"])
def test_a_run_measures_what_the_same_model_says_of_the_photos(photo_folder, tiny_weights, tune) -> None:
    settings = ["train.probe_epochs=2", "explain.overlays=0"]
    options = {"size": 64, "keep_checkpoints": True, "epochs": 2 if tune == "all" else None}
    run = RunDir(pcn_cli.finetune(photo_folder, model=tiny_weights, tune=tune, settings=settings, **options).run)
    assert not list(run.checkpoints.glob("pcn-tokens-*"))
    written = (run.predictions, run.metrics, run.attention, run.trust)
    before = [path.read_bytes() for path in written]
    evaluate(run.root)
    assert [path.read_bytes() for path in written] == before


def test_tokens_of_an_evaluation_that_failed_are_gone_and_it_goes_on_from_the_photos(
    photo_folder, tiny_weights, monkeypatch
) -> None:
    settings = ["train.probe_epochs=1", "explain.overlays=0"]
    with monkeypatch.context() as patched:
        patched.setattr("pcn_cli.stages.evaluate_run.write_scored", failing)
        with pytest.raises(ResourceError, match="no room"):
            pcn_cli.finetune(
                photo_folder, model=tiny_weights, tune="probe", size=64, settings=settings, output="stopped"
            )
    stopped = RunDir(Path("stopped"))
    assert list(stopped.checkpoints.iterdir()) == [stopped.probe]
    assert pcn_cli.finetune(resume="stopped").metrics["accuracy"].n == len(read_csv(stopped.predictions))


def failing(*_: object) -> None:
    raise ResourceError("there is no room")


def test_photos_that_moved_are_found_again_by_their_content(photo_folder, tiny_weights, tmp_path) -> None:
    """Seen: 48 lines "missing", and no way to say where the disk is mounted now."""
    run = pcn_cli.finetune(photo_folder, model=tiny_weights, tune="probe", size=32, settings=SETTINGS).run
    before = read_evaluation(RunDir(run)).metrics
    moved = tmp_path / "another disk"
    photo_folder.rename(moved)
    with pytest.raises(RunError, match=r"are not at .* any more") as caught:
        evaluate(run)
    assert caught.value.hint == f"where they have moved: {command('evaluate', run, '--photos', 'FOLDER')}"
    (moved / "red" / "00.jpg").rename(moved / "00.jpg")
    with pytest.raises(RunError, match=r"red/00\.jpg"):
        evaluate(run, photos=moved)
    assert read_record(RunDir(run)).photos == str(photo_folder)
    (moved / "00.jpg").rename(moved / "red" / "00.jpg")
    assert evaluate(run, photos=moved).metrics == before
    assert read_record(RunDir(run)).photos == str(moved)
    assert evaluate(run).metrics == before
    with pytest.raises(RecipeError, match="--photos has no effect with --images"):
        evaluate(run, photos=moved, images=moved)
