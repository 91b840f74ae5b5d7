"""Every photo is answered by a probe that did not learn from it, what belongs together stays in one fold."""

import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import pcn_cli
from pcn_cli.errors import DataError, RecipeError
from pcn_cli.files.atomic import read_csv, sha256_of
from pcn_cli.records.photos import SplitRow
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.store import read_answers
from pcn_cli.stages.evaluate_run import evaluate
from pcn_cli.stages.train import folds as module
from pcn_cli.stages.train.folds import check_folds
from pcn_cli.stages.train.frozen import fit_frozen

OPTIONS = {"model": "nano", "tune": "probe", "size": 32, "settings": ["train.probe_epochs=3"]}


def test_all_photos_are_answered_once_by_a_probe_of_other_photos(photo_folder, monkeypatch):
    (photo_folder / "red" / "copy.jpg").write_bytes((photo_folder / "red" / "00.jpg").read_bytes())
    learned, chosen = [], []

    def spy(model, train_tokens, val_tokens, *arguments):
        learned.append(set(train_tokens.indices.tolist()))
        chosen.append(set(val_tokens.indices.tolist()))
        return fit_frozen(model, train_tokens, val_tokens, *arguments)

    monkeypatch.setattr(module, "fit_frozen", spy)
    outcome = pcn_cli.finetune(photo_folder, folds=4, **OPTIONS)
    run = RunDir(outcome.run)
    answers, rows = read_answers(run.folds), read_csv(run.split)
    parts = [row for part in ("train", "val", "test") for row in rows if row["split"] == part]
    assert [(one.file, one.label) for one in answers] == [(row["file"], row["label"]) for row in parts]
    assert {one.fold for one in answers} == {1, 2, 3, 4}
    places = defaultdict(set)
    for place, one in enumerate(answers):
        places[one.fold].add(place)
        assert sum(one.probabilities) == pytest.approx(1)
        assert one.predicted == ("blue", "green", "red")[int(np.argmax(one.probabilities))]
    for fold, own in places.items():
        used = learned[fold - 1] | chosen[fold - 1]
        assert used == set(range(37)) - own
        assert not learned[fold - 1] & chosen[fold - 1]
    folds = {one.file: one.fold for one in answers}
    assert folds["red/copy.jpg"] == folds["red/00.jpg"]

    metrics = json.loads(run.metrics.read_text())
    own = metrics["cross_validated_accuracy"]
    assert own["n"] == 37
    assert own["value"] == sum(one.label == one.predicted for one in answers) / 37
    assert own["method"].startswith("4 folds of the probe, 37 photos: share of photos")
    assert own["ci_low"] < own["value"] <= own["ci_high"]
    assert own["value"] > 0.6
    assert "folds.csv" in json.loads(run.record.read_text())["stages"]["train"]["artifacts"]
    assert evaluate(run.root).metrics == outcome.metrics


@pytest.mark.parametrize("tune", ["probe", "all"])
def test_folds_change_nothing_of_the_model(photo_folder, tiny_weights, tune):
    options = {**OPTIONS, "model": tiny_weights, "tune": tune}
    options |= {"epochs": 1, "batch_size": 8} if tune == "all" else {}
    plain, folded = (pcn_cli.finetune(photo_folder, folds=folds, **options) for folds in (None, 2))
    for name in ("model/model.safetensors", "predictions.csv", "candidates.json"):
        assert sha256_of(plain.run / name) == sha256_of(folded.run / name), name
    histories = [run / "history.csv" for run in (plain.run, folded.run)]
    assert [path.is_file() for path in histories] == [tune == "all"] * 2
    if tune == "all":
        assert len(read_csv(histories[0])) == len(read_csv(histories[1]))
    assert not (plain.run / "folds.csv").exists()
    assert folded.metrics.keys() - plain.metrics.keys() == {
        "cross_validated_accuracy", "cross_validated_accuracy_spread", "cross_validated_log_loss",
        "cross_validated_macro_f1",
    }  # fmt: skip


def test_a_dry_run_promises_the_table(photo_folder, tiny_weights):
    plain, folded = (pcn_cli.finetune(photo_folder, folds=folds, dry_run=True, **OPTIONS).plan for folds in (None, 5))
    assert set(folded.run_contents()) - set(plain.run_contents()) == {"folds.csv"}
    assert replace(folded, cost=plain.cost).seconds() > plain.seconds()


def test_folds_that_the_photos_do_not_allow_are_refused_before_anything_is_written(photo_folder, several_photos):
    with pytest.raises(DataError, match=r"13 folds need 13 photos of one class .* no class has more than 12") as caught:
        pcn_cli.finetune(photo_folder, folds=13, **OPTIONS)
    assert caught.value.hint == "add photos, or use --folds 12"
    three = [SplitRow(file=f"{n}.jpg", label="a", split="train", sha256=str(n)) for n in range(3)]
    with pytest.raises(DataError, match="2 folds need 4 photos of one class") as caught:
        check_folds(three, (), folds=2)
    assert caught.value.hint == "add photos, or use --folds 3"
    check_folds(three, (), folds=3)
    with pytest.raises(DataError, match="2 folds need 4 photos of one class") as caught:
        check_folds(three[:2], (), folds=2)
    assert caught.value.hint == "add photos, or leave out --folds"
    with pytest.raises(RecipeError, match="--folds 5: has no meaning where photos may have several labels"):
        pcn_cli.finetune(several_photos, folds=5, **OPTIONS)
    with pytest.raises(RecipeError, match="--folds 5: has no effect without a probe"):
        pcn_cli.finetune(photo_folder, model="nano", folds=5, tune="all", epochs=1, settings=["train.probe_epochs=0"])
    with pytest.raises(RecipeError, match="--folds 1: should be greater than or equal to 2"):
        pcn_cli.finetune(photo_folder, folds=1, **OPTIONS)
    assert not Path("runs").exists()


def test_photos_of_one_unit_are_no_two_folds_and_many_photos_are_too_many(monkeypatch):
    rows = [
        SplitRow(file=f"{n}.jpg", label="a" if n < 6 else "b", split="train", sha256=str(n), group="g" if n < 3 else "")
        for n in range(10)
    ]
    check_folds(rows, [], folds=4)
    with pytest.raises(DataError, match="no class has more than 4"):
        check_folds(rows, [], folds=5)
    with pytest.raises(DataError, match="no class has more than 3"):
        check_folds(rows, [["3.jpg", "4.jpg", "6.jpg", "7.jpg"]], folds=4)
    monkeypatch.setattr(module, "MOST_PHOTOS", 9)
    with pytest.raises(DataError, match="10 photos are too many for folds, which are for at most 9"):
        check_folds(rows, [], folds=4)
