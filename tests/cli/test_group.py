"""The help names flags as they are typed, and the words of other tools lead to the commands of this one."""

from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from pcn_cli.cli import commands
from pcn_cli.cli.app import app
from pcn_cli.cli.commands import finetune
from pcn_cli.cli.group import SUMMARIES, WORDS_ELSEWHERE

PLAIN = {"COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb"}


def shown(*words: str) -> str:
    return CliRunner().invoke(app, list(words), env=PLAIN, prog_name="pcn").output


def test_every_command_begins_its_help_with_the_summary_that_stands_in_the_help_of_all():
    built = get_command(app).commands
    files = {path.stem for path in Path(commands.__path__[0]).glob("[a-z]*.py")}
    assert len(SUMMARIES) > 10
    assert set(SUMMARIES) == files
    assert [command.name for command in built.values()] == list(SUMMARIES)
    assert {name: built[name].help.partition("\n\n")[0] for name in built} == SUMMARIES
    assert not any(command.hidden or command.deprecated or command.short_help for command in built.values())
    lines = [line.split()[1] for line in shown("--help").partition("─ Commands ─")[2].splitlines() if "│ " in line]
    assert [word for word in lines if word in SUMMARIES] == list(SUMMARIES)


@pytest.mark.parametrize("words", [(), ("finetune",), ("predict",), ("runs", "clean"), ("models", "verify"), ("demo",)])
def test_no_type_of_python_stands_in_the_help(words):
    text = shown(*words, "--help")
    assert "--help" in text
    for word in ("bool", "list[", "<str>", "<int>", "<float>", "<path>"):
        assert word not in text
    assert max(map(len, text.splitlines())) <= 80


def test_the_options_of_finetune_stand_in_panels():
    text = shown("finetune", "--help")
    places = [text.index(f"─ {title} ─") for title in finetune._PANELS]
    assert places == sorted(places)
    assert places[1] < text.index("--labels") < places[2]
    assert text.index("--json") < places[0]


@pytest.mark.parametrize(("word", "own"), WORDS_ELSEWHERE.items())
def test_a_word_of_another_tool_names_the_command_here(word, own):
    text = " ".join(shown(word, "x").split())
    assert f"No such command '{word}'. Did you mean `pcn {own}`?" in text
    first, *rest = own.split()
    if not first.startswith("-"):
        node = get_command(app).commands[first]
        assert not rest or rest[0].startswith("-") or rest[0] in node.commands
