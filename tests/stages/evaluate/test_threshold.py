"""Another threshold for a finished run is what training with that wish would have given; the run stays as it was."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pcn_cli
from pcn_cli.errors import RecipeError, RunError
from pcn_cli.files.atomic import read_csv, sha256_of
from pcn_cli.recipe.load import load_recipe
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.evaluate_run import evaluate
from pcn_cli.stages.models import verify_models
from pcn_cli.stages.report import report

SETTINGS = ["split.val=0.4", "split.test=0.4", "train.probe_epochs=10", "explain.checks=0"]


class Notes(Callback):
    """Keeps what is noted."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def on_note(self, text: str) -> None:
        self.texts.append(text)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise of three tints, so faint that a small network mistakes some."""
    folder, rng = tmp_path_factory.mktemp("faint") / "photos", np.random.default_rng(0)
    for channel, label in enumerate(("blue", "green", "red")):
        (folder / label).mkdir(parents=True)
        for number in range(50):
            pixels = rng.integers(0, 120, (32, 32, 3), dtype=np.uint8)
            pixels[..., 2 - channel] += rng.integers(0, 60, dtype=np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def trained(photos: Path) -> dict[float | None, Path]:
    """Finished runs by the accuracy that was wished for, made once."""
    return {
        target: pcn_cli.finetune(
            photos, model="nano", tune="probe", size=32, target_accuracy=target, settings=SETTINGS,
            output=photos.parent / f"run-{target}",
        ).run
        for target in (None, 0.98)
    }  # fmt: skip


def snapshot(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): sha256_of(path) for path in folder.rglob("*") if path.is_file()}


def test_the_new_run_is_what_training_with_that_wish_gives_and_the_old_one_stays(trained):
    before, notes = snapshot(trained[None]), Notes()
    measured = evaluate(trained[None], target_accuracy=0.98, callback=notes)
    assert snapshot(trained[None]) == before
    new, wished = measured.run, trained[0.98]
    assert new.root == Path("runs/run-None-threshold-1")
    for name in ("predictions.csv", "findings.json", "split.csv", "suspects.csv", "model/model.safetensors"):
        assert (new.root / name).read_bytes() == (wished / name).read_bytes(), name
    numbers = {"metrics.json": "value", "curves.json": "threshold", "model/config.json": "threshold"}
    for name, key in numbers.items():
        found, expected = (json.loads((run / name).read_text()) for run in (new.root, wished))
        # A network that was just trained lies in memory as one that was read does not: its last digits are others.
        thresholds = [(plain.get("selection") or plain["threshold"]).pop(key) for plain in (found, expected)]
        assert thresholds[0] == pytest.approx(thresholds[1], rel=1e-6)
        assert found == expected, name
    assert 0 < measured.metrics["threshold_coverage"].value < 1
    assert {row["unknown"] for row in read_csv(new.predictions)} == {"0", "1"}
    assert load_recipe(str(new.recipe)).recipe == load_recipe(str(wished / "recipe.yaml")).recipe
    kept = f"the model of {trained[None]} stays as it was; this one answers with the threshold: {new.root}"
    assert notes.texts == [kept]


def test_the_new_run_predicts_proves_itself_and_has_a_report(trained, photos):
    new = evaluate(trained[None], target_accuracy=0.98, output="mine").run
    assert new.root == Path("mine")
    threshold = json.loads(new.model_config.read_text())["selection"]["threshold"]
    answers = pcn_cli.predict(sorted(photos.rglob("*.png")), model=new.root)
    assert {answer["unknown"] for answer in answers} == {True, False}
    assert all(answer["unknown"] == (answer["confidence"] < threshold) for answer in answers)
    (verified,) = verify_models(["mine"])
    assert verified["state"] == "verified"
    assert "Unknown below" in report(new.root).read_text(encoding="utf-8")
    again = evaluate("mine", target_accuracy=0.9)
    assert again.run.root == Path("runs/mine-threshold-1")
    assert json.loads(again.run.model_config.read_text())["selection"]["target"] == 0.9


def test_too_few_photos_for_a_target_are_said(photo_folder, tiny_weights):
    settings = ["train.probe_epochs=1", "train.probe_lr=1e-9", "explain.overlays=0"]  # it learns nothing
    run = pcn_cli.finetune(
        photo_folder, model=tiny_weights, tune="probe", pooling="per-class", size=32, settings=settings
    ).run
    notes = Notes()
    measured = evaluate(run, target_accuracy=0.9, callback=notes)
    assert notes.texts[0].startswith("5 validation photos are too few for a threshold, which takes 10")
    assert "threshold" not in measured.metrics
    assert any("Too few validation photos for a threshold" in finding.title for finding in measured.findings)


def test_what_gives_no_threshold_is_refused_before_anything_is_written(trained, photos):
    with pytest.raises(RunError, match="nano is not a run, and only a run has validation photos"):
        evaluate("nano", target_accuracy=0.98)
    with pytest.raises(RunError, match="model is not a run"):
        evaluate(trained[None] / "model", target_accuracy=0.98)
    with pytest.raises(RecipeError, match=r"--target-accuracy 1.5: should be less than or equal to 1"):
        evaluate(trained[None], target_accuracy=1.5)
    with pytest.raises(RecipeError, match="--target-accuracy has no effect with --images"):
        evaluate(trained[None], images=photos, target_accuracy=0.98)
    with pytest.raises(RecipeError, match="--output has no effect without --images or --target-accuracy"):
        evaluate(trained[None], output="mine")
    assert not Path("runs").exists()
    other = evaluate(trained[None], images=photos, output="other").run
    with pytest.raises(RunError, match="other has no validation photos to choose a threshold on"):
        evaluate(other.root, target_accuracy=0.98)
    assert not Path("runs").exists()


def test_photos_that_are_gone_are_named(trained, photos, tmp_path):
    moved = tmp_path / "photos"
    shutil.copytree(photos, moved)
    run = pcn_cli.finetune(
        moved, model=trained[None] / "model", tune="probe", size=32, settings=["train.probe_epochs=1"]
    ).run
    (moved / "red" / "7.png").unlink()
    with pytest.raises(RunError, match=r"photos of .* have changed since its split:\n  red/7.png: missing"):
        evaluate(run, target_accuracy=0.98)


def test_several_labels_have_thresholds_of_their_own(several_photos):
    settings = ["train.probe_epochs=1", "explain.overlays=0"]
    run = pcn_cli.finetune(several_photos, model="nano", tune="probe", size=32, settings=settings).run
    with pytest.raises(RecipeError, match="--target-accuracy has no meaning where photos may have several labels"):
        evaluate(run, target_accuracy=0.98)
