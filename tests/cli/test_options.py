"""The examples that help shows are those that were written, and they can be typed."""

import re
import shlex

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from pcn_cli.cli.app import app
from pcn_cli.cli.options import examples


def all_commands():
    found = []
    waiting = [((), get_command(app))]
    for words, command in waiting:
        found.append((words, command))
        waiting += [((*words, name), child) for name, child in getattr(command, "commands", {}).items()]
    return found


COMMANDS = all_commands()
NAMES = [" ".join(words) or "pcn" for words, _ in COMMANDS]
WIDE = {"COLUMNS": "240", "NO_COLOR": "1", "TERM": "dumb"}


def shown(words) -> str:
    return CliRunner().invoke(app, [*words, "--help"], env=WIDE, prog_name="pcn").stdout


def typed(command) -> list[str]:
    """The examples of a command as they stand in the source."""
    lines = (command.epilog or "").replace("\\[", "[").splitlines()
    return [line.strip() for line in lines if "pcn " in line]


def test_there_are_examples():
    assert sum(len(typed(command)) for _, command in COMMANDS) > 40


@pytest.mark.parametrize(("words", "command"), COMMANDS, ids=NAMES)
def test_help_shows_each_example_as_it_is_typed(words, command):
    """Seen: `--group-by '(+[0-9]+)_'`: the first brackets were taken for markup, and the example did not run."""
    text = shown(words)
    for line in typed(command):
        assert line.removeprefix("Start with: ") in text


@pytest.mark.parametrize(("words", "command"), COMMANDS, ids=NAMES)
def test_help_shows_no_type_and_nothing_empty(words, command):
    """Seen: `--model <list[str]>`, and "need `pcn-cli`, ``", whose extras were taken for markup."""
    del command
    text = shown(words)
    assert "``" not in text
    assert "[str]" not in text
    assert " range>" not in text


@pytest.mark.parametrize(("words", "command"), COMMANDS, ids=NAMES)
def test_each_example_is_understood(words, command):
    del words
    for line in typed(command):
        for part in re.split(r"[|>]", line.partition("pcn ")[1] + line.partition("pcn ")[2])[:1]:
            understand(shlex.split(part)[1:])
    for piped in (line for line in typed(command) if "| pcn " in line):
        understand(shlex.split(piped.partition("| pcn ")[2]))


def understand(words: list[str]) -> None:
    """Let Typer read the words of a command, and the command's own checks of its pattern; nothing is run."""
    node = get_command(app)
    name = "pcn"
    while words and words[0] in getattr(node, "commands", {}):
        name, *words = words
        node = node.commands[name]
    context = node.make_context(name, list(words))
    pattern = context.params.get("group_by")
    if pattern is not None:
        re.compile(pattern)


@pytest.mark.parametrize(
    "line",
    [
        "pcn a --group-by '([a-z]+[0-9]+)_'",
        "pcn a [bold]x[/bold]",
        "pcn 'photo[1].jpg'",
        "pcn a --x [red]",
        r"pcn '\[a]'",
    ],
)
def test_brackets_of_an_example_are_no_markup(line):
    import typer
    from rich.text import Text

    small = typer.Typer(rich_markup_mode="rich")
    small.command(epilog=examples(line))(lambda: None)
    assert line in CliRunner().invoke(small, ["--help"], env=WIDE).stdout
    assert Text.from_markup(examples(line)).plain.endswith(line)
