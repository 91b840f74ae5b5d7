"""The shipped recipes, each of them."""

import pytest

from pcn_cli.recipe.choose import Facts, choose
from pcn_cli.recipe.load import ShippedRecipe, list_recipes, load_recipe
from pcn_cli.recipe.recipe_yaml import read_plain_yaml
from pcn_cli.recipe.schema import OPTIONS

SHELF = list_recipes()
MACHINES = (
    Facts(train_photos=700, classes=6, cores=2),
    Facts(train_photos=30_000, classes=90, device="cuda", native_bf16=True, cores=16, memory_gb=40),
)


def written_keys(entry: ShippedRecipe) -> set[str]:
    content = read_plain_yaml(entry.path.read_text(encoding="utf-8"))
    return {f"{section}.{key}" for section, keys in content.items() for key in keys}


def test_the_shelf_is_not_empty() -> None:
    assert len(SHELF) >= 5


@pytest.mark.parametrize("entry", SHELF, ids=lambda entry: entry.name)
def test_a_recipe_says_for_whom_it_is(entry: ShippedRecipe) -> None:
    assert entry.description.startswith("For ")
    assert entry.description.endswith(".")


@pytest.mark.parametrize("entry", SHELF, ids=lambda entry: entry.name)
def test_a_recipe_holds_only_what_differs_from_the_defaults(entry: ShippedRecipe) -> None:
    assert load_recipe(entry.name).origins.keys() == written_keys(entry)
    assert written_keys(entry) <= set(OPTIONS)
    assert bool(written_keys(entry)) == (entry.name != "default")


@pytest.mark.parametrize("facts", MACHINES, ids=lambda facts: facts.device)
@pytest.mark.parametrize("entry", SHELF, ids=lambda entry: entry.name)
def test_a_recipe_works_on_every_machine_without_a_value_in_vain(entry: ShippedRecipe, facts: Facts) -> None:
    recipe, reasons = choose(load_recipe(entry.name), facts)
    assert recipe.train.tune is not None
    assert reasons
