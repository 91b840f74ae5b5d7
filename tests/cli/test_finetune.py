"""The options of `pcn finetune` are the recipe's fields that have a flag, with their sentences."""

import json
from inspect import signature

from typer.main import get_command

from pcn_cli.cli.app import app
from pcn_cli.cli.commands import finetune
from pcn_cli.recipe.schema import FLAGS

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
