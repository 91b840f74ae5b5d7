"""The recipes that come with the package: one YAML file each, its first comment line saying for whom it is."""

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import pcn_cli
from pcn_cli.errors import RecipeError


@dataclass(frozen=True, kw_only=True)
class ShelfEntry:
    """A shipped recipe."""

    name: str
    description: str
    path: Path


def list_recipes() -> tuple[ShelfEntry, ...]:
    """Every shipped recipe: the default first, then by name."""
    paths = sorted(_shelf().glob("*.yaml"), key=lambda path: (path.stem != "default", path.stem))
    return tuple(ShelfEntry(name=path.stem, description=_first_comment(path), path=path) for path in paths)


def find_recipe(name: str) -> ShelfEntry:
    """The shipped recipe called `name`.

    Raises:
        RecipeError: there is none; the message names the nearest one, or all.
    """
    entries = {entry.name: entry for entry in list_recipes()}
    if name in entries:
        return entries[name]
    near = get_close_matches(name, entries, n=1)
    rest = f"did you mean {near[0]}?" if near else f"there are {', '.join(entries)}"
    raise RecipeError(f"no recipe is called {name}: {rest}", "list them with `pcn recipes list`, or name a .yaml file")


def _shelf() -> Path:
    """The folder of the recipes: inside the installed package, or beside it in a source checkout."""
    package = Path(pcn_cli.__file__).parent
    inside = package / "recipes"
    return inside if inside.is_dir() else package.parent / "recipes"


def _first_comment(path: Path) -> str:
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("#").strip() if first.startswith("#") else ""
