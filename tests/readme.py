"""The parts of README.md that are made from the program: help texts, cards, recipe fields, exit codes.

`python tests/readme.py` writes them anew between their markers; `--check` only says whether they are true.
"""

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

os.environ.update(COLUMNS="100", NO_COLOR="1", TERM="dumb")

from typer.main import get_command
from typer.testing import CliRunner

from pcn_cli import errors
from pcn_cli.cli.app import app
from pcn_cli.models.zoo import CARDS
from pcn_cli.recipe.load import list_recipes
from pcn_cli.recipe.schema import OPTIONS, Option

README = Path(__file__).resolve().parents[1] / "README.md"
_BLOCK = re.compile(r"<!-- made: (?P<name>\S+) -->\n.*?<!-- end -->", re.DOTALL)


def all_commands() -> list[tuple[str, ...]]:
    """Every command as the words to type, in display order."""
    found: list[tuple[str, ...]] = []
    for name, command in get_command(app).commands.items():
        found.append((name,))
        found += [(name, child) for child in getattr(command, "commands", {})]
    return found


def help_text(words: tuple[str, ...]) -> str:
    """What `pcn … --help` prints."""
    result = CliRunner().invoke(app, [*words, "--help"], prog_name="pcn")
    if result.exit_code:
        raise RuntimeError(f"pcn {' '.join(words)} --help ended with {result.exit_code}: {result.output}")
    return "\n".join(line.rstrip() for line in result.output.strip().splitlines())


def commands() -> str:
    """One folded help text per command."""
    parts = []
    for words in all_commands():
        title = f"pcn {' '.join(words)}"
        parts.append(
            f"<details><summary><code>{title}</code></summary>\n\n```text\n{help_text(words)}\n```\n\n</details>"
        )
    return "\n\n".join(parts)


def cards() -> str:
    """A row per published weight file."""
    rows = ["| card | full name | input | top-1 published | parameters |", "|---|---|---|---|---|"]
    for card in CARDS:
        top1 = "–" if card.top1 is None else f"{card.top1:.1f} %"
        rows.append(
            f"| `{card.name}` | `{card.full_name}` | {card.input_size} | {top1} | {card.parameters / 1e6:.1f} M |"
        )
    return "\n".join(rows)


def recipe_fields() -> str:
    """A row per field of the recipe."""
    rows = ["| field | default | meaning |", "|---|---|---|"]
    return "\n".join(rows + [_field_row(option) for option in OPTIONS.values()])


def _field_row(option: Option) -> str:
    default = f"`{str(option.default).lower() if isinstance(option.default, bool) else option.default}`"
    if option.default is None:
        default = "none" if option.chosen == "never" else "chosen"
    return f"| `{option.key}` | {default} | {option.sentence} |"


def recipes() -> str:
    """A row per recipe on the shelf."""
    rows = ["| recipe | for |", "|---|---|"]
    return "\n".join(rows + [f"| `{entry.name}` | {entry.description} |" for entry in list_recipes()])


def exit_codes() -> str:
    """A row per kind of error."""
    kinds = [kind for kind in errors.PcnError.__subclasses__() if kind is not errors.StoppedError]
    rows = [
        "| code | meaning |",
        "|---|---|",
        "| 0 | done |",
        "| 1 | a bug of pcn, or a check of `pcn doctor` that failed |",
    ]
    rows += [f"| {kind.exit_code} | {kind.__doc__.splitlines()[0]} |" for kind in kinds]
    return "\n".join(
        [
            *rows,
            "| 130, 143 | Stopped by Ctrl-C or SIGTERM; the work so far is saved. |",
            "| 141 | The reader of our output went away. |",
        ]
    )


PARTS: dict[str, Callable[[], str]] = {
    "commands": commands,
    "cards": cards,
    "recipe-fields": recipe_fields,
    "recipes": recipes,
    "exit-codes": exit_codes,
}


def rendered(text: str) -> str:
    """The README with every made part as it should be."""
    return _BLOCK.sub(lambda block: f"<!-- made: {block['name']} -->\n{PARTS[block['name']]()}\n<!-- end -->", text)


def main() -> int:
    """0 when the README is true or was written."""
    text = README.read_text(encoding="utf-8")
    wanted = rendered(text)
    if "--check" in sys.argv:
        if text != wanted:
            print("README.md is not what the program says; run `python tests/readme.py`", file=sys.stderr)
        return int(text != wanted)
    README.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
