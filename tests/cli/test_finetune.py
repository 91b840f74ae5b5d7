"""The options of `pcn finetune` are the recipe's fields that have a flag, with their sentences."""

import io
import json
import warnings
from inspect import signature
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from typer.main import get_command

from pcn_cli.cli import console, summary
from pcn_cli.cli.app import app
from pcn_cli.cli.commands import finetune
from pcn_cli.recipe.schema import FLAGS
from pcn_cli.records.metrics import ClassRow, Finding
from pcn_cli.stages.finetune import Outcome

OPTIONS = {option.name: option for option in get_command(app).commands["finetune"].params}


def test_every_field_with_a_flag_is_an_option_with_its_sentence():
    assert len(FLAGS) > 15
    for name, field in FLAGS.items():
        assert (OPTIONS[name].help, OPTIONS[name].opts) == (field.sentence, [field.flag_name])
        assert OPTIONS[name].default is None


def test_the_order_of_the_help_names_only_options_that_there_are():
    assert [name for name in OPTIONS if name in finetune._ORDER] == list(finetune._ORDER)
    assert set(FLAGS) < set(OPTIONS)
    assert list(signature(finetune.finetune).parameters) == list(OPTIONS)


def test_values_that_do_not_fit_are_told_all_at_once(pcn):
    result = pcn("finetune", "photos", "--epochs", "0", "--workers", "99", "--set", "train.lr=fast")
    assert result.returncode == 2
    assert [line for line in result.stderr.decode().splitlines() if ": should be" in line] == [
        "error: --set train.lr=fast: should be a number, found 'fast'",
        "--epochs 0: should be greater than or equal to 1, found 0",
        "--workers 99: should be less than or equal to 64, found 99",
    ]


def test_a_word_for_an_open_choice_is_taken(pcn, photo_folder):
    words = ("--balance", "auto", "--dry-run", "--json", "--model", "nano", "--size", "32")
    result = pcn("finetune", photo_folder, *words)
    assert result.returncode == 0
    assert json.loads(result.stdout)["recipe"]["train"]["balance"] == "none"


def test_a_dry_run_says_which_models_would_be_compared(pcn, photo_folder, tiny_model, tmp_path):
    words = ("finetune", photo_folder, "--model", "nano", "--model", tiny_model, "--dry-run", "--size", "32")
    result = pcn(*words)
    assert result.returncode == 0
    lines = [" ".join(line.split()) for line in result.stdout.decode().splitlines()]
    table = lines.index("models to choose from, by the validation photos")
    assert lines[table + 1] == "parameters licence"
    assert lines[table + 2].startswith("tiny 0.")
    assert lines[table + 3] == "nano 2.2 M Apache-2.0"
    assert any(line.startswith("would be written: runs/photos-best-of-2-1") for line in lines)
    plan = json.loads(pcn(*words, "--json").stdout)
    assert [one["model"] for one in plan["models"]] == [str(tiny_model), "nano"]
    assert not (tmp_path / "runs").exists()
    one = pcn("finetune", photo_folder, "--model", "nano", "--dry-run", "--size", "32")
    assert "model: nano, 2.2 M parameters" in one.stdout.decode()
    assert "nano: licence Apache-2.0" in one.stderr.decode()


def test_many_classes_of_few_photos_are_quiet(pcn, tmp_path):
    """Seen: seven to eight lines of scikit-learn's "The number of unique classes is greater than 50%", with -q too."""
    rng = np.random.default_rng(0)
    for label in range(16):
        (tmp_path / "d" / f"c{label}").mkdir(parents=True)
        for number in range(3):
            pixels = rng.integers(0, 80, (32, 32, 3)) + np.array([11 * label, 5, 160 - 10 * label])
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "d" / f"c{label}" / f"{number}.png")
    words = ("--model", "nano", "--size", "32", "--tune", "probe", "--workers", "0", "--set", "explain.checks=0")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        result = pcn("finetune", "d", *words, "-q")
    assert (result.returncode, result.stderr) == (0, b"")
    (log,) = (tmp_path / "runs").glob("*/run.log")
    assert "unique classes" not in log.read_text()


@pytest.mark.parametrize("terminal", [True, False])
def test_a_person_sees_each_finding_once_and_a_file_holds_all(monkeypatch, terminal):
    told, new = (Finding(severity="warning", title=title, evidence="here") for title in ("copies", "few photos"))
    shown = io.StringIO()
    monkeypatch.setattr(summary, "out", Console(file=shown, force_terminal=terminal, color_system=None, width=100))
    summary.show_run(Outcome(run=Path("r"), findings=(told, new)), told=[told])
    assert shown.getvalue().count("few photos") == 1
    assert shown.getvalue().count("copies") == (0 if terminal else 1)


def test_the_classes_stand_in_the_order_that_people_count_in(monkeypatch):
    shown = io.StringIO()
    monkeypatch.setattr(console, "out", Console(file=shown, width=100))
    monkeypatch.setattr(summary, "out", Console(file=shown, width=100))
    rows = [ClassRow(label=name, precision=None, recall=0.5, f1=None, support=9) for name in ("10", "2", "b", "1")]
    summary.show_classes(rows)
    assert [line.split()[0] for line in shown.getvalue().splitlines()[1:] if line.strip()] == ["1", "2", "10", "b"]


def test_devices_that_cannot_be_used_are_refused(pcn, photo_folder):
    words = ("finetune", photo_folder, "--model", "nano", "--devices", "2")
    result = pcn(*words, "--dry-run")
    assert result.returncode == 2
    assert b"--devices has no effect with --dry-run" in result.stderr
    places = {"RANK": "0", "WORLD_SIZE": "3", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    result = pcn(*words, **places)
    assert result.returncode == 2
    assert b"--devices 2: torchrun or its like has started 3 processes" in result.stderr
