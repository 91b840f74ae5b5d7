"""Runs made by version 0.1 are read, reported, measured and resumed: older_runs.zip holds four of them.

`whole` is a finished run on 36 small photos (probe and tuning), `cut` was killed in the third of its six epochs of
tuning, `threshold` is `whole` with a threshold for 60 % accuracy, and `several/run` gives photos several labels.
"""

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from pcn_cli.files.atomic import read_csv
from pcn_cli.models.sources.folder import load_model_folder
from pcn_cli.recipe.schema import Recipe
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.store import read_recipe
from pcn_cli.stages.evaluate_run import evaluate
from pcn_cli.stages.finetune import finetune
from pcn_cli.stages.predict import predict
from pcn_cli.stages.report import report
from pcn_cli.stages.runs import list_runs

PACKED = Path(__file__).with_name("older_runs.zip")
WAS_AT = "/tmp/pcn-before"  # where the runs were made; each says so in run.json and recipe.yaml


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """The unpacked runs, their photos and the weight file they started from, as if they had been made there."""
    folder = tmp_path / "older"
    with zipfile.ZipFile(PACKED) as packed:
        packed.extractall(folder)
    for text in [*folder.rglob("run.json"), *folder.rglob("recipe.yaml"), *folder.rglob("scan.json")]:
        text.write_text(text.read_text(encoding="utf-8").replace(WAS_AT, str(folder)), encoding="utf-8")
    return folder


def same_figures(one: Path, other: Path, *, within: float) -> None:
    """Every row names the same photo and label, and gives the same probabilities to within rounding."""
    left, right = read_csv(one), read_csv(other)
    assert len(left) == len(right) > 0
    for first, second in zip(left, right, strict=True):
        assert second.keys() - {"random_gain"} == first.keys() - {"random_gain"}  # which only older runs have
        assert (first["file"], first["label"]) == (second["file"], second["label"])
        for key in first:
            if key.startswith("p_"):
                assert float(first[key]) == pytest.approx(float(second[key]), abs=within)


def test_a_finished_run_is_reported(older):
    page = report(older / "whole")
    assert "green" in page.read_text(encoding="utf-8")


def test_a_finished_run_has_nothing_left_to_do(older):
    outcome = finetune(resume=older / "whole")
    assert outcome.kept == "tuned"
    metrics = json.loads((older / "whole" / "metrics.json").read_text())
    assert outcome.metrics.keys() == metrics.keys()
    assert outcome.metrics["accuracy"].value == metrics["accuracy"]["value"]
    assert [candidate.name for candidate in outcome.candidates] == ["tuned", "probe", "logistic regression"]
    assert [row.label for row in outcome.per_class] == ["blue", "green", "red"]


@pytest.mark.parametrize("name", ["whole", "several/run"])
def test_a_finished_run_is_measured_again(name, older):
    run = older / name
    before = run.with_name("before")
    shutil.copytree(run, before)
    measured = evaluate(run)
    same_figures(run / "predictions.csv", before / "predictions.csv", within=1e-4)
    old = json.loads((before / "metrics.json").read_text())
    assert measured.metrics.keys() == old.keys()
    for key, metric in measured.metrics.items():
        assert metric.value == pytest.approx(old[key]["value"], abs=1e-3), key


def test_several_labels_are_reported(older):
    report(older / "several" / "run")
    assert (older / "several" / "run" / "report" / "index.html").is_file()


def test_a_threshold_still_withholds(older):
    answers = predict([older / "photos" / "red" / "00.jpg"], model=older / "threshold")
    assert answers[0]["error"] is None
    assert answers[0]["unknown"] == (answers[0]["label"] == "unknown")


def test_a_run_that_was_killed_goes_on(older):
    before = read_csv(older / "cut" / "history.csv")
    outcome = finetune(resume=older / "cut")
    history = read_csv(older / "cut" / "history.csv")
    assert history[: len(before)] == before
    assert [row["epoch"] for row in history if row["phase"] == "tune"] == [str(number) for number in range(1, 7)]
    for own, other in zip(history, read_csv(older / "whole" / "history.csv"), strict=True):
        assert float(own["train_loss"]) == pytest.approx(float(other["train_loss"]), abs=2e-3)
        assert float(own["val_loss"]) == pytest.approx(float(other["val_loss"]), abs=2e-3)
    # Five validation photos do not show that tuning is better, which version 0.1 did not ask.
    assert [one.name for one in outcome.candidates if one.kept] == [outcome.kept]
    assert {one.name for one in outcome.candidates} == {"tuned", "probe", "logistic regression"}


def test_photos_are_read_as_they_were(older):
    """What is newer than a run changes neither what its training sees when it goes on nor what its model answers."""
    recipe = read_recipe(RunDir(older / "cut"))
    assert (recipe.data.draft, recipe.train.photo_cache) == (0, 0.0)
    assert load_model_folder(older / "whole" / "model")[1].preprocessing.draft == 0
    assert (Recipe().data.draft, Recipe().train.photo_cache) == (2, 20.0)


def test_they_are_listed(older, monkeypatch):
    (older / "runs").mkdir()
    for name in ("whole", "cut", "threshold"):
        (older / name).rename(older / "runs" / name)
    monkeypatch.chdir(older)
    assert {one.name: one.status for one in list_runs()} == {
        "whole": "finished",
        "cut": "stopped",
        "threshold": "finished",
    }
