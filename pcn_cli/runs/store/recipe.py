"""recipe.yaml in the run: everything as resolved, each automatic choice with its reason."""

from collections.abc import Mapping
from pathlib import Path

from pcn_cli.files.atomic import write_text
from pcn_cli.recipe.load import load_recipe
from pcn_cli.recipe.recipe_yaml import dump_recipe
from pcn_cli.recipe.schema import Recipe


def write_recipe(path: Path, recipe: Recipe, reasons: Mapping[str, str]) -> None:
    """Put the resolved recipe at `path`."""
    write_text(path, dump_recipe(recipe, reasons))


def read_recipe(path: Path) -> Recipe:
    """The recipe that `write_recipe` was given."""
    return load_recipe(str(path)).recipe
