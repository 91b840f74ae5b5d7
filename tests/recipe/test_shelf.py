from pathlib import Path

import pytest

import pcn_cli
from pcn_cli.errors import RecipeError
from pcn_cli.recipe.shelf import find_recipe, list_recipes


def test_the_shelf_begins_with_the_default() -> None:
    names = [entry.name for entry in list_recipes()]
    assert names[0] == "default"
    assert names[1:] == sorted(names[1:])
    assert {"quick", "careful", "probe", "low-memory"} <= set(names)


def test_recipes_inside_the_installed_package_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pcn_cli" / "recipes").mkdir(parents=True)
    (tmp_path / "pcn_cli" / "recipes" / "mine.yaml").write_text("# For me.\nseed: 3\n")
    monkeypatch.setattr(pcn_cli, "__file__", str(tmp_path / "pcn_cli" / "__init__.py"))
    assert [(entry.name, entry.description) for entry in list_recipes()] == [("mine", "For me.")]


def test_a_missing_recipe_names_the_command_that_lists_them() -> None:
    with pytest.raises(RecipeError, match="no recipe is called quik: did you mean quick") as caught:
        find_recipe("quik")
    assert "pcn recipes list" in caught.value.hint
