"""The README is short and true, and the help that it leaves to the program is complete."""

import re
from pathlib import Path

import click
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from pcn_cli import errors
from pcn_cli.cli.app import app
from pcn_cli.models.zoo import CARDS
from pcn_cli.recipe.load import list_recipes, load_recipe
from pcn_cli.recipe.schema import OPTIONS, Recipe

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
WIDE = {"COLUMNS": "240", "NO_COLOR": "1", "TERM": "dumb"}


def all_commands() -> list[tuple[str, ...]]:
    """Every command as the words to type, in display order."""
    found: list[tuple[str, ...]] = []
    for name, command in get_command(app).commands.items():
        found.append((name,))
        found += [(name, child) for child in getattr(command, "commands", {})]
    return found


def find(words: tuple[str, ...]) -> click.Command:
    """The command that the words name."""
    command = get_command(app)
    for word in words:
        command = command.commands[word]
    return command


def printed(*words: str) -> str:
    """What `pcn words` prints."""
    result = CliRunner().invoke(app, list(words), env=WIDE, prog_name="pcn")
    assert result.exit_code == 0, result.output
    return result.stdout


COMMANDS = all_commands()


def test_the_readme_has_at_most_300_lines() -> None:
    assert len(README.splitlines()) <= 300
    assert max(map(len, README.splitlines())) <= 140


def test_every_command_stands_in_the_readme_and_in_the_help() -> None:
    assert len(COMMANDS) > 10
    overview = printed("--help")
    section = README.partition("## Commands")[2].partition("\n## ")[0]
    for words in COMMANDS:
        assert re.search(rf"\b{words[-1]}\b", section), words
        if len(words) == 1:
            assert find(words).help.splitlines()[0][:40] in overview


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_a_sentence_and_an_example(words: tuple[str, ...]) -> None:
    text = printed(*words, "--help")
    assert (find(words).help or "").strip()
    assert f"pcn {' '.join(words)}" in text.partition("Examples:")[2]


@pytest.mark.parametrize("words", [(), *COMMANDS], ids=" ".join)
def test_every_option_and_argument_has_a_sentence_in_the_help(words: tuple[str, ...]) -> None:
    text, parameters = printed(*words, "--help"), find(words).params
    for one in parameters:
        assert len((one.help or "").split()) >= 2, one.name
        assert one.opts[-1] in text or one.param_type_name == "argument"
        assert re.sub(r"`", "", one.help)[:12] in re.sub(r"`", "", text), one.name


def test_there_are_options_to_explain() -> None:
    assert sum(len(find(words).params) for words in COMMANDS) > 80


def test_every_recipe_field_is_shown_with_its_default_and_its_sentence(tmp_path: Path) -> None:
    assert len(OPTIONS) > 40
    shown = printed("recipes", "show")
    section = ""
    lines: dict[str, str] = {}
    for line in shown.splitlines():
        if match := re.fullmatch(r"(\w+):", line):
            section = match[1]
        elif match := re.fullmatch(r"( *)(\w+): (.+)", line):
            lines[f"{section}.{match[2]}" if match[1] else match[2]] = match[3]
    for key, option in OPTIONS.items():
        value, _, comment = lines.pop(key).partition("  # ")
        assert len(option.sentence.split()) >= 2, key
        assert comment == option.sentence
        default = "null" if option.default is None else option.default
        assert value == (str(default).lower() if isinstance(default, bool) else str(default)), key
    assert not lines
    (tmp_path / "again.yaml").write_text(shown, encoding="utf-8")
    assert load_recipe(tmp_path / "again.yaml").recipe == Recipe()


def test_every_recipe_of_the_shelf_is_listed_with_whom_it_is_for() -> None:
    shelf, text = list_recipes(), printed("recipes", "list")
    assert len(shelf) > 4
    for entry in shelf:
        assert re.search(rf"^{entry.name} .*{re.escape(entry.description[:60])}", text, re.MULTILINE), entry.name


def test_every_card_is_listed_with_what_was_published() -> None:
    text = printed("models", "list")
    assert len(CARDS) > 10
    for card in CARDS:
        (line,) = re.findall(rf"^{card.name} .*$", text, re.MULTILINE)
        assert f" {card.input_size} " in line
        assert f"{card.parameters / 1e6:.1f} M" in line
        assert card.top1 is None or f" {card.top1:.1f} " in line
        assert card.full_name in printed("models", "info", card.name)


def test_the_table_of_exit_codes_is_what_the_errors_say() -> None:
    kinds = errors.PcnError.__subclasses__()
    assert len(kinds) > 5
    rows = dict(re.findall(r"^\| ([\d, ]+) \| (.+) \|$", README.partition("| code | meaning |")[2], re.MULTILINE))
    for kind in kinds:
        assert rows.pop(str(kind.exit_code)) == (kind.__doc__ or "").splitlines()[0]
    assert list(rows) == ["0", "1", "129, 130, 143", "141"]


def test_the_picture_is_small() -> None:
    (picture,) = re.findall(r"!\[[^\]]+\]\((\S+)\)", README)
    assert (ROOT / picture).stat().st_size < 150_000


def test_cards_that_the_readme_names_exist() -> None:
    names = {card.name for card in CARDS}
    assert set(re.findall(r"`([sbl]\d+[\w-]*|nano)`", README)) <= names


def test_ci_runs_the_readme_s_test_command() -> None:
    command = next(line for line in README.splitlines() if "tests/check.py --browser" in line)
    assert command in (ROOT / ".ci" / "run").read_text().splitlines()
