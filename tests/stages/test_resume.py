"""A run that was killed goes on from its last checkpoint and ends with the same bits."""

import os
import random
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import pcn_cli
from pcn_cli.errors import RecipeError, ResourceError, RunError
from pcn_cli.files.atomic import read_csv, sha256_of
from pcn_cli.stages.evaluate_run import evaluate

WORDS = ("--tune", "all", "--epochs", "4", "--batch-size", "8", "--size", "32", "--keep-checkpoints")
SET = ("--set", "train.probe_epochs=2", "--set", "model.drop_path=0.2", "--set", "train.mixup=0.2")

NO_TOKENS = ("--set", "train.token_cache=0")  # to compare with: the other run would begin with its tokens


def start_pcn(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-m", "pcn_cli", *words], stderr=subprocess.PIPE, text=True)


def run_to_the_end(*words: str) -> None:
    result = subprocess.run([sys.executable, "-m", "pcn_cli", *words], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def finetune_words(photos: Path, model: Path, output: str, workers: int, *more: str) -> tuple[str, ...]:
    return (
        "finetune", str(photos), "--model", str(model), "--output", output, "--workers", str(workers), *WORDS, *SET,
        *more,
    )  # fmt: skip


def wait_for_epoch(process: subprocess.Popen[str], run: Path) -> None:
    history = run / "history.csv"
    while process.poll() is None:
        if history.is_file() and any(row["phase"] == "tune" for row in read_csv(history)):
            return
        time.sleep(0.01)
    pytest.fail(f"the training ended before it could be stopped: {process.stderr.read()}")


def final_weights(run: Path) -> dict[str, str]:
    newest = run / "checkpoints" / (run / "checkpoints" / "LAST").read_text().strip()
    return {name: sha256_of(newest / f"{name}.safetensors") for name in ("model", "ema", "optimizer", "best")}


def timeless(run: Path) -> list[dict[str, str]]:
    apart = {"seconds", "images_per_second", "memory_mb"}
    return [{key: cell for key, cell in row.items() if key not in apart} for row in read_csv(run / "history.csv")]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_killed_run_ends_with_the_same_bits(workers, photo_folder, tiny_weights):
    words = finetune_words(photo_folder, tiny_weights, "whole", workers, *NO_TOKENS)
    run_to_the_end(*words)
    seed = random.randrange(10**6)
    print(f"seed {seed}")  # noqa: T201 - shown when the test fails
    with start_pcn(*finetune_words(photo_folder, tiny_weights, "cut", workers)) as process:
        wait_for_epoch(process, Path("cut"))
        time.sleep(random.Random(seed).uniform(0, 0.3))
        os.kill(process.pid, signal.SIGKILL)
    before = timeless(Path("cut"))
    run_to_the_end("finetune", "--resume", "cut")
    assert timeless(Path("cut"))[: len(before)] == before
    assert timeless(Path("cut")) == timeless(Path("whole"))
    assert final_weights(Path("cut")) == final_weights(Path("whole"))
    assert sha256_of(Path("cut/predictions.csv")) == sha256_of(Path("whole/predictions.csv"))


@pytest.mark.parametrize("way", ["loss", "sampler"])
def test_a_killed_run_on_uneven_classes_ends_with_the_same_bits(way, photo_folder, tiny_weights):
    for photo in sorted((photo_folder / "red").iterdir())[4:]:
        photo.unlink()
    run_to_the_end(*finetune_words(photo_folder, tiny_weights, "whole", 0, "--balance", way, *NO_TOKENS))
    with start_pcn(*finetune_words(photo_folder, tiny_weights, "cut", 0, "--balance", way)) as process:
        wait_for_epoch(process, Path("cut"))
        os.kill(process.pid, signal.SIGKILL)
    run_to_the_end("finetune", "--resume", "cut")
    assert timeless(Path("cut")) == timeless(Path("whole"))
    assert final_weights(Path("cut")) == final_weights(Path("whole"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_stop_saves_and_says_how_to_go_on(number, code, photo_folder, tiny_weights):
    with start_pcn(*finetune_words(photo_folder, tiny_weights, "run", 0)) as process:
        wait_for_epoch(process, Path("run"))
        process.send_signal(number)
        errors = process.stderr.read()
        assert process.wait() == code
    assert "pcn finetune --resume run" in errors
    outcome = pcn_cli.finetune(resume="run")
    assert outcome.metrics["accuracy"].n > 0


def test_resuming_a_finished_run_says_so(photo_folder, tiny_weights, capsys):
    done = pcn_cli.finetune(photo_folder, model=tiny_weights, tune="probe", size=32, settings=["train.probe_epochs=1"])
    before = sha256_of(done.run / "run.json")
    again = pcn_cli.finetune(photo_folder, resume=done.run)
    assert again.metrics == done.metrics
    assert sha256_of(done.run / "run.json") == before


def test_resume_refuses_other_settings_and_changed_photos(photo_folder, tiny_weights):
    with start_pcn(*finetune_words(photo_folder, tiny_weights, "run", 0)) as process:
        wait_for_epoch(process, Path("run"))
        process.kill()
    with pytest.raises(RunError, match="--epochs 9: the run has 4, now 9"):
        pcn_cli.finetune(resume="run", epochs=9)
    changed = photo_folder / "red" / "00.jpg"
    changed.write_bytes((photo_folder / "blue" / "00.jpg").read_bytes())
    with pytest.raises(RunError, match=r"red/00\.jpg") as caught:
        pcn_cli.finetune(resume="run")
    # As it stands it is the same training: without the recipe it was one of the largest network's.
    words = shlex.split(caught.value.hint.partition("start a new run with ")[2])
    assert words == ["pcn", "finetune", str(photo_folder.absolute()), "--recipe", "run/recipe.yaml"]
    assert pcn_cli.finetune(words[2], recipe=words[4], dry_run=True).plan.recipe.model.name == str(tiny_weights)


def test_resume_auto_starts_or_goes_on(photo_folder, tiny_weights):
    options = {"model": tiny_weights, "tune": "probe", "size": 32, "settings": ["train.probe_epochs=1"]}
    first = pcn_cli.finetune(photo_folder, resume="auto", **options)
    second = pcn_cli.finetune(photo_folder, resume="auto", **options)
    assert first.run != second.run


def test_resume_auto_of_a_named_run_that_is_finished_says_so(photo_folder, tiny_weights, tmp_path):
    """A script that is started again does nothing twice, and does not fail."""
    options = {"model": tiny_weights, "tune": "probe", "size": 32, "settings": ["train.probe_epochs=1"]}
    first = pcn_cli.finetune(photo_folder, resume="auto", output=tmp_path / "mine", **options)
    record = sha256_of(first.run / "run.json")
    second = pcn_cli.finetune(photo_folder, resume="auto", output=tmp_path / "mine", **options)
    assert (second.run, second.metrics) == (first.run, first.metrics)
    assert sha256_of(first.run / "run.json") == record


def test_what_a_kill_left_before_the_plan_is_taken_over(photo_folder, tiny_weights, tmp_path):
    left = tmp_path / "left"
    left.mkdir()
    for name in (".lock", ".lock-owner", "run.json", "scan.json", ".abc.part.csv"):
        (left / name).write_text("{}")
    done = pcn_cli.finetune(
        photo_folder, model=tiny_weights, output=left, resume="auto", tune="probe", size=32,
        settings=["train.probe_epochs=1"],
    )  # fmt: skip
    assert (done.run / "report" / "index.html").is_file()


def test_a_row_that_a_kill_lost_is_written_again(photo_folder, tiny_weights):
    with start_pcn(*finetune_words(photo_folder, tiny_weights, "run", 0)) as process:
        wait_for_epoch(process, Path("run"))
        process.kill()
    lines = Path("run/history.csv").read_text().splitlines(keepends=True)
    Path("run/history.csv").write_text("".join(lines[:-1]))
    run = pcn_cli.finetune(resume="run").run
    assert [row["epoch"] for row in read_csv(run / "history.csv") if row["phase"] == "tune"] == ["1", "2", "3", "4"]


def test_a_dry_run_of_a_resume_is_refused(photo_folder, tiny_weights):
    done = pcn_cli.finetune(photo_folder, model=tiny_weights, tune="probe", size=32, settings=["train.probe_epochs=1"])
    with pytest.raises(RecipeError, match="--dry-run"):
        pcn_cli.finetune(resume=done.run, dry_run=True)


def test_an_evaluation_cannot_be_resumed_as_a_training(photo_folder, tiny_weights):
    done = pcn_cli.finetune(photo_folder, model=tiny_weights, tune="probe", size=32, settings=["train.probe_epochs=1"])
    measured = evaluate(done.run, images=photo_folder)
    with pytest.raises(RunError, match="never trained"):
        pcn_cli.finetune(resume=measured.run.root)


def test_nothing_is_named_latest_among_the_photos(photo_folder, tiny_weights, tmp_path, monkeypatch):
    monkeypatch.chdir(photo_folder)
    before = sorted(photo_folder.rglob("*"))
    with pytest.raises(ResourceError, match="never written to"):
        pcn_cli.finetune(".", model=tiny_weights)
    run = pcn_cli.finetune(
        ".", model=tiny_weights, output=tmp_path / "out", tune="probe", size=32, settings=["train.probe_epochs=1"]
    ).run
    assert (run / "report" / "index.html").is_file()
    assert sorted(photo_folder.rglob("*")) == before
