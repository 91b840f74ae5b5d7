"""What the shell offers when Tab is pressed: runs of this folder, cards, recipes and their fields; it imports no torch.

Where nothing fits, the shell offers files.
"""

import ast
from functools import cache
from pathlib import Path

import pcn_cli
from pcn_cli.recipe.schema import OPTIONS

_ZOO = Path(pcn_cli.__file__).parent / "models" / "zoo.py"


@cache
def card_names() -> tuple[str, ...]:
    """The names of all cards in their order, read from where they are defined: importing that would bring torch."""
    calls = (one for one in ast.walk(ast.parse(_ZOO.read_text(encoding="utf-8"))) if isinstance(one, ast.Call))
    made = (one.args[0] for one in calls if isinstance(one.func, ast.Name) and one.func.id == "_patchconvnet")
    return tuple(one.value for one in made if isinstance(one, ast.Constant) and isinstance(one.value, str))


def complete_run(incomplete: str) -> list[str]:
    """The runs in ./runs, by their paths or by their names."""
    return [path for name in _run_names() if (path := f"runs/{name}").startswith(incomplete)]


def complete_run_name(incomplete: str) -> list[str]:
    """The runs in ./runs by their names, for commands that look for them there."""
    return [name for name in _run_names() if name.startswith(incomplete)]


def complete_model(incomplete: str) -> list[str]:
    """Cards, then runs."""
    return [*(name for name in card_names() if name.startswith(incomplete)), *complete_run(incomplete)]


def complete_card(incomplete: str) -> list[str]:
    """Cards alone."""
    return [name for name in card_names() if name.startswith(incomplete)]


def complete_recipe(incomplete: str) -> list[str]:
    """The recipes that are shipped."""
    from pcn_cli.recipe.load import list_recipes  # which reads YAML and checks values

    return [one.name for one in list_recipes() if one.name.startswith(incomplete)]


def complete_setting(incomplete: str) -> list[str]:
    """The fields of the recipe, up to where the value begins."""
    return [f"{key}=" for key in OPTIONS if f"{key}=".startswith(incomplete)]


def _run_names() -> list[str]:
    from pcn_cli.runs.rundir import list_runs  # whose records bring numpy, which no command's help needs

    return [run.root.name for run in list_runs()]
