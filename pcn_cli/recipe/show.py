"""A recipe to read: every key with its value and the sentence that explains it."""

from pcn_cli.recipe.fields import recipe_fields, recipe_sections
from pcn_cli.recipe.load import dump_recipe
from pcn_cli.recipe.schema import Recipe


def explained_yaml(recipe: Recipe) -> str:
    """The whole recipe as YAML with each key's sentence behind it; it can be used as a recipe again."""
    sentences = {key: field.sentence for key, field in recipe_fields().items()}
    text = dump_recipe(recipe, sentences)
    for name, section in recipe_sections().items():
        text = text.replace(f"\n{name}:\n", f"\n# {section.__doc__}\n{name}:\n", 1)
    return text
