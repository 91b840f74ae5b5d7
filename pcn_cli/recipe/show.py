"""A recipe as YAML in which every field says what it means."""

from pcn_cli.recipe.fields import recipe_fields
from pcn_cli.recipe.load import dump_recipe
from pcn_cli.recipe.schema import Recipe


def explained_yaml(recipe: Recipe) -> str:
    """The whole recipe with each field's sentence behind it; it can be read back."""
    sentences = {key: field.sentence for key, field in recipe_fields().items()}
    return dump_recipe(recipe, sentences, machine_choices=frozenset())
