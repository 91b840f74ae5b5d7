from pcn_cli.recipe.fields import read_value, recipe_fields, recipe_sections, with_values
from pcn_cli.recipe.schema import Recipe


def test_every_key_reads_its_default_from_the_default_recipe() -> None:
    for key, field in recipe_fields().items():
        assert read_value(Recipe(), key) == field.default, key


def test_values_are_put_where_their_keys_say_and_nowhere_else() -> None:
    changed = with_values(Recipe(), {"seed": 3, "train.lr": 0.5, "train.epochs": 2, "report.title": "x"})
    assert {key for key in recipe_fields() if read_value(changed, key) != read_value(Recipe(), key)} == {
        "seed",
        "train.lr",
        "train.epochs",
        "report.title",
    }
    assert Recipe().train.lr is None


def test_the_sections_are_the_stages_words() -> None:
    assert list(recipe_sections()) == ["data", "split", "model", "train", "augment", "evaluate", "explain", "report"]
