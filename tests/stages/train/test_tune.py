"""What tuning learns once the validation photos have chosen."""

import re
from pathlib import Path

import numpy as np
import pytest

import pcn_cli
from pcn_cli.errors import DivergedError, StoppedError
from pcn_cli.files.atomic import read_csv, sha256_of
from pcn_cli.runs.store import read_answers
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.train.context import StepCallback

NO_PROBE = ["train.probe_epochs=0", "evaluate.precision=float32", "explain.checks=0"]


def tune(photos, weights, output, *settings):
    options = {"tune": "all", "epochs": 2, "batch_size": 8, "size": 32, "settings": [*NO_PROBE, *settings]}
    return pcn_cli.finetune(photos, model=weights, output=output, **options)


def timeless(run):
    return [(row["epoch"], row["train_loss"], row["val_loss"]) for row in read_csv(run / "history.csv")]


@pytest.fixture
def whole(photo_folder, tiny_weights):
    return tune(photo_folder, tiny_weights, "whole")


def test_the_validation_photos_teach_the_tuned_model_once_they_have_chosen_it(whole, photo_folder, tiny_weights):
    without = tune(photo_folder, tiny_weights, "without", "train.final_epochs=0")
    assert timeless(whole.run) == timeless(without.run)
    assert len(timeless(whole.run)) == 2  # an epoch that nothing is measured after has no row
    # It is calibrated by what it said of them before it learned from them.
    assert sha256_of(whole.run / "validation.csv") == sha256_of(without.run / "validation.csv")
    assert [one.val_log_loss for one in whole.candidates] == [one.val_log_loss for one in without.candidates]
    rows = [row for row in read_csv(whole.run / "split.csv") if row["split"] == "val"]
    right, sure = [row["label"] for row in rows], {}
    for name, outcome in (("whole", whole), ("without", without)):
        answers = pcn_cli.predict([photo_folder / row["file"] for row in rows], model=outcome.run, top=3)
        sure[name] = sum(
            likely["p"]
            for one, label in zip(answers, right, strict=True)
            for likely in one["top"]
            if likely["label"] == label
        )
    assert sure["whole"] > sure["without"]


def test_the_best_epochs_are_averaged_where_that_is_asked_for(photo_folder, tiny_weights):
    notes = []

    class Notes(Callback):
        def on_note(self, text):
            notes.append(text)

    settings = [*NO_PROBE, "train.final_epochs=0", "train.ema=false", "train.lr=0.3", "train.average_epochs=3"]
    options = {"tune": "all", "epochs": 3, "batch_size": 8, "size": 32, "settings": settings}
    averaged = pcn_cli.finetune(photo_folder, model=tiny_weights, output="averaged", callback=Notes(), **options)
    (note,) = [note for note in notes if "are averaged" in note]
    kept, alone = (float(number) for number in re.findall(r"\d\.\d{4}", note))
    rows = read_csv(averaged.run / "history.csv")
    assert kept < alone == pytest.approx(min(float(row["val_loss"]) for row in rows), abs=5e-5)
    # What the kept model said of the validation photos is what the average said.
    answers = read_answers(averaged.run / "validation.csv")
    losses = [-np.log(answer.probabilities[["blue", "green", "red"].index(answer.label)]) for answer in answers]
    assert np.mean(losses) == pytest.approx(kept, abs=5e-5)
    assert not list(averaged.run.glob("checkpoints/*"))


def test_a_stop_in_the_final_epochs_goes_on_to_the_same_weights(whole, photo_folder, tiny_weights, monkeypatch):
    seen = []

    def interrupt(callback, step, *_figures):
        if type(callback) is StepCallback:
            seen.append(step)
            if step == 2:
                raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(StepCallback, "on_step", interrupt)
        with pytest.raises(StoppedError):
            tune(photo_folder, tiny_weights, "cut")
    assert seen == [1, 2]
    assert pcn_cli.finetune(resume="cut").metrics == whole.metrics
    for name in ("model/model.safetensors", "validation.csv", "predictions.csv"):
        assert sha256_of(whole.run.parent / "cut" / name) == sha256_of(whole.run / name)


def test_one_epoch_is_followed_by_one(photo_folder, tiny_weights, monkeypatch):
    totals = set()
    monkeypatch.setattr(StepCallback, "on_step", lambda _callback, _step, total, *_more: totals.add(total))
    options = {"tune": "all", "epochs": 1, "batch_size": 8, "size": 32}
    run = pcn_cli.finetune(photo_folder, model=tiny_weights, **options, settings=NO_PROBE).run
    parts = [row["split"] for row in read_csv(run / "split.csv")]
    assert totals == {-(-parts.count("train") // 8), -(-(len(parts) - parts.count("test")) // 8)}


def test_photos_of_steps_that_diverge_are_named(photo_folder, tiny_weights):
    with pytest.raises(DivergedError, match="the last photos were ") as caught:
        tune(photo_folder, tiny_weights, "bad", "train.lr=1e38")
    named = set(caught.value.message.partition("the last photos were ")[2].split(", "))
    learned = {row["file"] for row in read_csv(Path("bad/split.csv")) if row["split"] == "train"}
    assert named & learned, caught.value.message
