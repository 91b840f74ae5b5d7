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
