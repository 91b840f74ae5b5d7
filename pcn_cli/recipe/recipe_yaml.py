"""Recipes as YAML without guesses: every plain scalar is text, only the empty value, `~` and `null` are None.

The schema gives the types. That removes the traps of YAML 1.1, where `no` is False, `12:30` is 750 and `3e-4` is text.
"""

from collections.abc import Mapping
from typing import Any

import yaml

from pcn_cli.errors import shown
from pcn_cli.recipe.schema import OPTIONS, Recipe


class PlainYamlError(ValueError):
    """The text is no YAML, or not a mapping of names to values."""


def read_plain_yaml(text: str) -> dict[str, Any]:
    """The mapping that `text` holds; empty where it holds only comments.

    Raises:
        PlainYamlError: no YAML, a key twice, or not a mapping; with the line.
    """
    try:
        content = yaml.load(text, Loader=_PlainLoader)  # noqa: S506 - a subclass of the safe loader
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise PlainYamlError(f"{line}{error.problem}") from error
    except yaml.YAMLError as error:
        raise PlainYamlError(" ".join(str(error).split())) from error
    except RecursionError as error:
        raise PlainYamlError("it is nested too deeply") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise PlainYamlError(f"expected sections with keys, found {type(content).__name__}")
    return content


class _PlainLoader(yaml.SafeLoader):
    """The safe loader with one implicit type left: null. A few aliases of aliases stand for gigabytes, so none are."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "aliases (*name) are not read", event.start_mark)
        return super().compose_node(parent, index)


_NULL = "tag:yaml.org,2002:null"
_PlainLoader.yaml_implicit_resolvers = {
    start: [(tag, pattern) for tag, pattern in resolvers if tag == _NULL]
    for start, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _construct_mapping(loader: _PlainLoader, node: yaml.MappingNode) -> dict[str, Any]:
    mapping: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node)
        if not isinstance(key, str):
            raise yaml.constructor.ConstructorError(None, None, f"{shown(key)} is no name", key_node.start_mark)
        if key in mapping:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {key[:100]} stands twice", key_node.start_mark
            )
        mapping[key] = loader.construct_object(value_node, deep=True)
    return mapping


_PlainLoader.add_constructor("tag:yaml.org,2002:map", _construct_mapping)


def dump_recipe(recipe: Recipe, reasons: Mapping[str, str], *, open_choices: bool = True) -> str:
    """The whole recipe as YAML that `load_recipe` reads back; each reason stands behind its value.

    `reasons` are sentences by dotted key, for the values that were chosen automatically. With `open_choices`, what
    another machine should choose anew is left open (null), its value only named beside it.
    """
    lines: list[str] = []
    section = ""
    for key, option in OPTIONS.items():
        name = key.rpartition(".")[0]
        if name != section:
            section = name
            lines += ["", f"{section}:"]
        reason, value = reasons.get(key, ""), recipe.value(key)
        if open_choices and reason and option.chosen == "anew" and value is not None:
            reason, value = f"{value} here: {reason}", None
        reason = " ".join("".join(c if c.isprintable() else " " for c in reason).split())
        scalar = yaml.safe_dump(value, default_flow_style=True, width=float("inf"), allow_unicode=False)
        scalar = scalar.removesuffix("\n").removesuffix("\n...")
        line = f"{'  ' if section else ''}{option.name}: {scalar}"
        lines.append(f"{line}  # {reason}" if reason else line)
    return "\n".join(lines) + "\n"


def explain_recipe(recipe: Recipe) -> str:
    """The whole recipe as YAML with each field's sentence behind it; it can be read back."""
    return dump_recipe(recipe, {key: option.sentence for key, option in OPTIONS.items()}, open_choices=False)
