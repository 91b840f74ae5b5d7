"""The recipe a person asked for: defaults ← YAML file ← --set ← named flags, with every problem in one message.

Values in files are read as text and given their type by the schema, never by YAML 1.1: `3e-4` is a number, `no` in a
title is the word, `12:30` is not 750 and `010` is not 8. An empty value, `~` and `null` mean "choose for me".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import pcn_cli
from pcn_cli.errors import RecipeError, shown
from pcn_cli.files.reading import read_bytes
from pcn_cli.recipe.arguments import fit_value
from pcn_cli.recipe.recipe_yaml import read_plain_yaml
from pcn_cli.recipe.schema import FLAGS, OPTIONS, SECTIONS, Recipe

_RECIPE_BYTES = 2**17  # thirty times the longest that pcn writes


@dataclass(frozen=True, kw_only=True)
class LoadedRecipe:
    """A checked recipe and where each value that the user set himself comes from, by dotted key.

    A value in a file that repeats the default is not among them; `named` are the keys of all that was written.
    """

    recipe: Recipe
    origins: Mapping[str, str] = field(default_factory=dict)
    named: frozenset[str] = frozenset()


class _Setting(NamedTuple):
    """One wish: `origin` as a person would name the place, `value` as it was written."""

    origin: str
    key: str
    value: Any
    in_file: bool = False


def load_recipe(
    name_or_path: str | Path | None, *, settings: Sequence[str] = (), flags: Mapping[str, Any] | None = None
) -> LoadedRecipe:
    """The recipe with all wishes applied, the later ones winning: file, then `settings`, then `flags`.

    Args:
        name_or_path: a shipped recipe's name or a YAML file; None for the defaults.
        settings: texts of the form section.key=value.
        flags: dotted key → value of a flag with a name of its own; None means that it was not given.

    Raises:
        RecipeError: the file is missing or no YAML, a key is unknown or a value does not fit; all in one message.
    """
    problems: list[str] = []
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    from_file = [] if name_or_path is None else _from_file(str(name_or_path), problems)
    from_flags = [
        _Setting(f"{OPTIONS[key].flag_name} {value}", key, str(value) if isinstance(value, Path) else value)
        for key, value in (flags or {}).items()
        if value is not None
    ]
    for origin, key, written, in_file in [*from_file, *_from_settings(settings, problems), *from_flags]:
        if key not in OPTIONS:
            problems.append(f"{origin}: {_unknown_key(key)}")
            continue
        option = OPTIONS[key]
        try:
            values[key] = None if option.auto and written == "auto" else fit_value(option.type, written)
            if option.check is not None and values[key] is not None:
                option.check(values[key])
        except ValueError as error:
            problems.append(f"{origin}: {error}")
            continue
        # A run's full recipe repeats every default; that is no wish.
        if not in_file or values[key] != option.default:
            origins[key] = origin
    if problems:
        named = all(line.startswith("--") and not line.startswith("--set ") for line in problems)
        hint = "`pcn COMMAND --help` says what each option takes" if named else "see every key with `pcn recipes show`"
        raise RecipeError("\n".join(problems), hint)
    return LoadedRecipe(recipe=Recipe().replace(values), origins=origins, named=frozenset(values))


def read_flags(options: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a Python function by their dotted keys.

    Raises:
        RecipeError: one is not the name of an option that has a flag.
    """
    unknown = [name for name in options if name not in FLAGS]
    if unknown:
        lines = [f"{name}: unknown argument{_name_nearest(get_close_matches(name, FLAGS, n=1))}" for name in unknown]
        raise RecipeError("\n".join(lines), "fields of the recipe without an argument go into `settings`")
    return {FLAGS[name].key: value for name, value in options.items()}


class ShippedRecipe(NamedTuple):
    """A recipe that comes with the package: one YAML file, its first line a comment saying for whom it is."""

    name: str
    description: str
    path: Path


def list_recipes() -> tuple[ShippedRecipe, ...]:
    """Every shipped recipe: the default first, then by name."""
    package = Path(pcn_cli.__file__).parent
    inside = package / "recipes"  # of the installed package; beside it in a source checkout
    folder = inside if inside.is_dir() else package.parent / "recipes"
    paths = sorted(folder.glob("*.yaml"), key=lambda path: (path.stem != "default", path.stem))
    return tuple(
        ShippedRecipe(path.stem, path.read_text(encoding="utf-8").partition("\n")[0].lstrip("# "), path)
        for path in paths
    )


def find_recipe(name: str) -> ShippedRecipe:
    """The shipped recipe called `name`; a RecipeError names the nearest one, or all."""
    recipes = {one.name: one for one in list_recipes()}
    if name in recipes:
        return recipes[name]
    near = get_close_matches(name, recipes, n=1)
    rest = f"did you mean {near[0]}?" if near else f"there are {', '.join(recipes)}"
    raise RecipeError(f"no recipe is called {name}: {rest}", "list them with `pcn recipes list`, or name a .yaml file")


def _from_file(name_or_path: str, problems: list[str]) -> list[_Setting]:
    path, place = Path(name_or_path), name_or_path
    if path.suffix.lower() not in (".yaml", ".yml") and path.name == name_or_path:
        path = find_recipe(name_or_path).path
        place = f"recipes/{path.name}"
    try:
        content = read_plain_yaml(read_bytes(path, most=_RECIPE_BYTES).decode("utf-8"))
    except OSError as error:
        raise RecipeError(
            f"cannot read the recipe {place}: {error.strerror or error}",
            "list the recipes that come with pcn with `pcn recipes list`",
        ) from error
    except ValueError as error:
        raise RecipeError(f"{place}: {error}", "a recipe is YAML: sections with `key: value` lines in them") from error
    found = []
    for name, value in content.items():
        if name not in SECTIONS:
            found.append(_Setting(f"{place}: {name}", name, value, in_file=True))
        elif isinstance(value, dict):
            keys = {f"{name}.{key}": inner for key, inner in value.items()}
            found += [_Setting(f"{place}: {key}", key, inner, in_file=True) for key, inner in keys.items()]
        elif value is not None:
            problems.append(f"{place}: {name}: is a section and should hold `key: value` lines, found {shown(value)}")
    return found


def _from_settings(settings: Sequence[str], problems: list[str]) -> list[_Setting]:
    found = []
    for text in settings:
        key, equals, value = text.partition("=")
        if equals:
            found.append(_Setting(f"--set {text}", key.strip(), None if value in ("", "~", "null") else value))
        else:
            problems.append(f"--set {text}: expected section.key=value")
    return found


def _unknown_key(key: str) -> str:
    """What to say of a key that does not exist: the nearest one, by its whole name or by its last part."""
    near = get_close_matches(key, OPTIONS, n=1, cutoff=0.75)
    last_parts = {option.name: option.key for option in reversed(OPTIONS.values())}  # the first of a name wins
    near = near or [last_parts[part] for part in get_close_matches(key.rpartition(".")[2], last_parts, n=1)]
    return f"unknown key{_name_nearest(near)}"


def _name_nearest(near: Sequence[str]) -> str:
    return f"; the nearest known one is {near[0]}" if near else ""
