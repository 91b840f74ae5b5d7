"""The recipe a person asked for: defaults ← YAML file ← --set ← named flags, with every problem in one message.

Values in files are read as text and given their type by the schema, never by YAML 1.1: `3e-4` is a number, `no` in a
title is the word, `12:30` is not 750 and `010` is not 8. An empty value, `~` and `null` mean "choose for me".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import ValidationError

from pcn_cli.errors import RecipeError
from pcn_cli.recipe.fields import RecipeField, read_value, recipe_fields, recipe_sections, with_values
from pcn_cli.recipe.plain_yaml import PlainYamlError, read_plain_yaml
from pcn_cli.recipe.schema import Recipe
from pcn_cli.recipe.shelf import find_recipe

MACHINE_CHOICES = frozenset({"train.device", "train.workers"})  # what another machine should choose again


@dataclass(frozen=True, kw_only=True)
class LoadedRecipe:
    """A checked recipe and where each value that the user set himself comes from, by dotted key."""

    recipe: Recipe
    origins: Mapping[str, str] = field(default_factory=dict)

    @property
    def given(self) -> frozenset[str]:
        """The dotted keys that the user set himself; a value in a file that repeats the default is not among them."""
        return frozenset(self.origins)


class _Setting(NamedTuple):
    """One wish: `origin` as a person would name the place, `value` as it was written."""

    origin: str
    key: str
    value: Any
    in_file: bool = False


def load_recipe(
    name_or_path: str | None, *, settings: Sequence[str] = (), flags: Mapping[str, Any] | None = None
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
    wishes = [*_from_file(name_or_path, problems), *_from_settings(settings, problems), *_from_flags(flags or {})]
    known, values, origins = recipe_fields(), {}, {}
    for origin, key, written, in_file in wishes:
        if key not in known:
            problems.append(f"{origin}: {_unknown_key(key, known)}")
            continue
        try:
            values[key] = _checked(known[key], written)
        except ValidationError as error:
            problems.append(f"{origin}: {_explain(error, written)}")
            continue
        if in_file and values[key] == known[key].default:
            continue  # a run's full recipe repeats every default; that is no wish
        origins[key] = origin
    if problems:
        raise RecipeError("\n".join(problems), "see every key with `pcn recipes show default`")
    return LoadedRecipe(recipe=with_values(Recipe(), values), origins=origins)


def dump_recipe(
    recipe: Recipe, reasons: Mapping[str, str], *, machine_choices: frozenset[str] = MACHINE_CHOICES
) -> str:
    """The whole recipe as YAML that `load_recipe` reads back; each reason stands behind its value.

    Args:
        recipe: what is wanted.
        reasons: dotted key → one sentence, for the values that were chosen automatically.
        machine_choices: keys that stay open (null) where they have a reason, their value only named beside it: another
            machine chooses them again.
    """
    lines: list[str] = []
    section = ""
    for key, known in recipe_fields().items():
        name = key.partition(".")[0] if "." in key else ""
        if name != section:
            section = name
            lines += ["", f"{section}:"]
        reason, value = reasons.get(key, ""), read_value(recipe, key)
        if reason and key in machine_choices and value is not None:
            reason, value = f"{value} here: {reason}", None
        reason = " ".join("".join(c if c.isprintable() else " " for c in reason).split())
        line = f"{'  ' if section else ''}{known.name}: {_yaml_scalar(value)}"
        lines.append(f"{line}  # {reason}" if reason else line)
    return "\n".join(lines) + "\n"


def _from_file(name_or_path: str | None, problems: list[str]) -> list[_Setting]:
    if name_or_path is None:
        return []
    path, shown = _recipe_path(name_or_path)
    try:
        content = read_plain_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(
            f"cannot read the recipe {shown}: {error.strerror or error}",
            "list the recipes that come with pcn with `pcn recipes list`",
        ) from error
    except (PlainYamlError, UnicodeDecodeError) as error:
        raise RecipeError(f"{shown}: {error}", "a recipe is YAML: sections with `key: value` lines in them") from error
    sections, found = recipe_sections(), []
    for name, value in content.items():
        if name not in sections:
            found.append(_Setting(f"{shown}: {name}", name, value, in_file=True))
        elif isinstance(value, dict):
            keys = {f"{name}.{key}": inner for key, inner in value.items()}
            found += [_Setting(f"{shown}: {key}", key, inner, in_file=True) for key, inner in keys.items()]
        elif value is not None:
            problems.append(f"{shown}: {name}: is a section and should hold `key: value` lines, found {value!r}")
    return found


def _recipe_path(name_or_path: str) -> tuple[Path, str]:
    """Where the recipe lies, and what messages call it."""
    path = Path(name_or_path)
    if path.suffix.lower() in (".yaml", ".yml") or path.name != name_or_path:
        return path, name_or_path
    entry = find_recipe(name_or_path)
    return entry.path, f"recipes/{entry.path.name}"


def _from_settings(settings: Sequence[str], problems: list[str]) -> list[_Setting]:
    found = []
    for text in settings:
        key, equals, value = text.partition("=")
        if equals:
            found.append(_Setting(f"--set {text}", key.strip(), None if value in ("", "~", "null") else value))
        else:
            problems.append(f"--set {text}: expected section.key=value")
    return found


def _from_flags(flags: Mapping[str, Any]) -> list[_Setting]:
    return [
        _Setting(f"{flag_name(key)} {value}", key, str(value) if isinstance(value, Path) else value)
        for key, value in flags.items()
        if value is not None
    ]


def flag_name(key: str) -> str:
    """The flag on the command line that sets a dotted key, for the keys that have one."""
    return "--model" if key == "model.name" else f"--{key.rpartition('.')[2].replace('_', '-')}"


def _checked(known: RecipeField, written: Any) -> Any:  # noqa: ANN401 - fields have many types
    """`written` as the type of its field; the other fields of the section have defaults and pass."""
    if isinstance(written, bool) and not isinstance(known.default, bool):
        written = str(written).lower()  # pydantic would take True for 1
    return getattr(known.section.model_validate({known.name: written}), known.name)


def _explain(error: ValidationError, written: Any) -> str:  # noqa: ANN401 - whatever was written
    first = error.errors(include_url=False)[0]
    if first["type"] == "value_error":
        return str(first["ctx"]["error"])
    message = _PLAIN_WORDS.get(first["type"]) or first["msg"].replace("Input should", "should")
    return f"{message}, found {written!r}"


_PLAIN_WORDS = {
    "float_parsing": "should be a number",
    "float_type": "should be a number",
    "int_parsing": "should be a whole number",
    "int_from_float": "should be a whole number",
    "int_type": "should be a whole number",
    "bool_parsing": "should be true or false",
    "bool_type": "should be true or false",
    "string_type": "should be text",
}


def _unknown_key(key: str, known: Mapping[str, RecipeField]) -> str:
    """What to say of a key that does not exist: the nearest one, by its whole name or by its last part."""
    near = get_close_matches(key, known, n=1, cutoff=0.75)
    last_parts = {
        candidate.rpartition(".")[2]: candidate for candidate in reversed([*known])
    }  # the first of a name wins
    near = near or [last_parts[part] for part in get_close_matches(key.rpartition(".")[2], last_parts, n=1)]
    return "unknown key" + (f"; the nearest known one is {near[0]}" if near else "")


def _yaml_scalar(value: Any) -> str:  # noqa: ANN401 - fields have many types
    if value is None:
        return "null"
    text = yaml.safe_dump(value, default_flow_style=True, width=float("inf"), allow_unicode=False)
    return text.removesuffix("\n").removesuffix("\n...")
