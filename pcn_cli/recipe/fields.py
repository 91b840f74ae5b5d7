"""The recipe as a flat table of dotted keys: what the reader checks against and what help texts print."""

from dataclasses import dataclass
from typing import Any

from pcn_cli.recipe.schema import Recipe, Section


@dataclass(frozen=True, kw_only=True)
class RecipeField:
    """One key of the recipe, such as train.lr, with its default and the sentence that explains it."""

    key: str
    default: Any
    sentence: str
    section: type[Section]

    @property
    def name(self) -> str:
        """The key below its section."""
        return self.key.rpartition(".")[2]


def recipe_sections() -> dict[str, type[Section]]:
    """The sections by name, in the recipe's order."""
    kinds = {name: info.annotation for name, info in Recipe.model_fields.items()}
    return {name: kind for name, kind in kinds.items() if isinstance(kind, type) and issubclass(kind, Section)}


def recipe_fields() -> dict[str, RecipeField]:
    """Every key of the recipe in its order, the keys without a section first."""
    sections = recipe_sections()
    tables: list[tuple[str, type[Section]]] = [("", Recipe), *((f"{name}.", kind) for name, kind in sections.items())]
    return {
        f"{prefix}{name}": RecipeField(
            key=f"{prefix}{name}", default=info.default, sentence=info.description or "", section=kind
        )
        for prefix, kind in tables
        for name, info in kind.model_fields.items()
        if name not in sections
    }


def read_value(recipe: Recipe, key: str) -> Any:  # noqa: ANN401 - fields have many types
    """What `recipe` says at a dotted key."""
    section, _, name = key.rpartition(".")
    return getattr(getattr(recipe, section) if section else recipe, name)


def with_values(recipe: Recipe, values: dict[str, Any]) -> Recipe:
    """`recipe` with the checked `values` at their dotted keys."""
    changes: dict[str, Any] = {}
    for key, value in values.items():
        section, _, name = key.rpartition(".")
        if section:
            changed = changes.get(section, getattr(recipe, section))
            changes[section] = changed.model_copy(update={name: value})
        else:
            changes[name] = value
    return recipe.model_copy(update=changes)
