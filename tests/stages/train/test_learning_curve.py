"""The learning curve of real runs: what it holds, that it changes nothing else, and what is refused."""

import json
from pathlib import Path

import pytest

import pcn_cli
from pcn_cli.cli.summary import show_run
from pcn_cli.errors import DataError, RecipeError
from pcn_cli.files.atomic import read_csv, sha256_of
from pcn_cli.records.photos import SplitRow
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.store import LEARNING_CURVE
from pcn_cli.stages.evaluate_run import evaluate
from pcn_cli.stages.train.learning_curve import check_learning_curve

pytestmark = pytest.mark.usefixtures("_learn_once")
OPTIONS = {"model": "nano", "tune": "probe", "size": 32, "settings": ["explain.checks=0", "explain.overlays=0"]}


@pytest.fixture
def _learn_once(monkeypatch):
    """Validation photos only choose, as in the curve: so the regression is the curve's last point."""
    monkeypatch.setattr("pcn_cli.stages.train.train.learn_from_all", lambda fitted, *_: fitted)


@pytest.mark.parametrize("pooling", ["single", "per-class"])
def test_a_run_measures_what_shares_of_its_photos_teach_and_nothing_else_changes(photo_folder, capsys, pooling):
    options = {**OPTIONS, "pooling": pooling}
    options["settings"] = [*options["settings"], "train.probe_epochs=2"]
    plain, drawn = (pcn_cli.finetune(photo_folder, learning_curve=wished, **options) for wished in (None, True))
    for name in ("model/model.safetensors", "predictions.csv", "candidates.json", "suspects.csv"):
        one, other = (run / name for run in (plain.run, drawn.run))
        assert one.is_file() == other.is_file()
        assert not one.is_file() or sha256_of(one) == sha256_of(other), name
    assert plain.learning_curve is None
    assert not (plain.run / "learning_curve.json").exists()
    assert "learning_curve" not in plain.plain()

    run, curve = RunDir(drawn.run), drawn.learning_curve
    assert LEARNING_CURVE.read(run) == curve
    assert drawn.plain()["learning_curve"]["figure"] == curve.figure == "accuracy"
    trained = sum(row["split"] == "train" for row in read_csv(run.split))
    assert [(step.draws, step.photos) for step in curve.steps] == [(4, trained // 4), (2, trained // 2), (1, trained)]
    assert (curve.left_out, curve.scarce) == ((8,), "blue")
    regression = next(one for one in drawn.candidates if one.name == "logistic regression")
    assert curve.steps[-1].figure.value == pytest.approx(regression.accuracy.value)
    assert curve.steps[-1].figure.ci_low == pytest.approx(regression.accuracy.ci_low)
    assert set(curve.steps[0].classes) == {"blue", "green", "red"}
    assert "learning_curve.json" in json.loads(run.record.read_text())["stages"]["train"]["artifacts"]
    assert (run.figures / "learning_curve.svg").is_file()

    told = [one for one in drawn.findings if "more photos would" in one.title.lower()]
    assert len(told) == 1
    assert evaluate(run.root).findings == drawn.findings
    page = (run.report / "index.html").read_text()
    assert "What fewer photos taught" in page
    assert "without 1/8: too few photos of a class, such as blue" in page
    show_run(drawn)
    shown = capsys.readouterr().out
    assert told[0].title in shown
    assert "1/4 of the photos" in shown
    assert "without 1/8: too few photos of a class, such as blue" in shown


def test_several_labels_are_measured_by_mean_average_precision(several_photos):
    settings = ["train.probe_epochs=1", "explain.overlays=0"]
    options = {"model": "nano", "tune": "probe", "size": 64, "settings": settings}
    outcome = pcn_cli.finetune(several_photos, learning_curve=True, **options)
    curve = outcome.learning_curve
    assert curve.figure == "mean_average_precision"
    assert [step.draws for step in curve.steps] == [4, 2, 1] or [step.draws for step in curve.steps] == [8, 4, 2, 1]
    regression = next(one for one in outcome.candidates if one.name == "logistic regression")
    assert curve.steps[-1].figure.value == pytest.approx(regression.mean_average_precision.value)
    assert curve.steps[-1].figure.ci_low == pytest.approx(regression.mean_average_precision.ci_low, abs=1e-6)


def test_a_dry_run_promises_the_file(photo_folder):
    plain, drawn = (
        pcn_cli.finetune(photo_folder, learning_curve=wished, dry_run=True, **OPTIONS).plan for wished in (None, True)
    )
    assert set(drawn.run_contents()) - set(plain.run_contents()) == {"learning_curve.json"}


def test_too_few_photos_are_refused_before_anything_is_written(photo_folder):
    for photo in sorted((photo_folder / "red").iterdir())[5:]:
        photo.unlink()
    with pytest.raises(
        DataError, match=r"2 photos of every class in both halves .*; red has 3 in all that may be parted"
    ) as caught:
        pcn_cli.finetune(photo_folder, learning_curve=True, **OPTIONS)
    assert caught.value.hint == "add photos of red, or leave out --learning-curve"
    with pytest.raises(RecipeError, match="--learning-curve True: has no effect without a probe"):
        pcn_cli.finetune(
            photo_folder, model="nano", learning_curve=True, tune="all", epochs=1, settings=["train.probe_epochs=0"]
        )
    assert not Path("runs").exists()


def test_copies_of_one_photo_are_no_two_halves():
    rows = [SplitRow(file=f"{n}.jpg", label="ab"[n % 2], split="train", sha256=str(n)) for n in range(20)]
    check_learning_curve(rows, [], seed=0)
    check_learning_curve(rows, [["0.jpg", "2.jpg"]], seed=0)
    with pytest.raises(DataError, match="a has 1 in all that may be parted"):
        check_learning_curve(rows, [[f"{n}.jpg" for n in range(0, 20, 2)]], seed=0)
