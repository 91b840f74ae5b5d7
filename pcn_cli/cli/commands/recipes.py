"""`pcn recipes`: list, show and check the settings of a training."""

from dataclasses import asdict
from typing import Annotated

import typer

from pcn_cli.cli.complete import complete_recipe, complete_setting
from pcn_cli.cli.console import out, print_json, safe, say, show_table
from pcn_cli.cli.options import Json, examples

app = typer.Typer(
    name="recipes",
    no_args_is_help=True,
    help="List, show and check recipes: the settings of a training.",
    epilog=examples("pcn recipes list"),
)


@app.command("list", epilog=examples("pcn recipes list"))
def list_recipes(json: Json = False) -> None:
    """List the recipes that come with pcn."""
    from pcn_cli.recipe.load import list_recipes as shelf

    entries = shelf()
    if json:
        print_json([{"name": entry.name, "description": entry.description} for entry in entries])
        return
    show_table(("recipe", "for"), [(safe(entry.name), safe(entry.description)) for entry in entries])


@app.command(
    "show", epilog=examples("pcn recipes show", "pcn recipes show careful > mine.yaml", "pcn recipes show quick --json")
)
def show(
    name: Annotated[
        str,
        typer.Argument(help="A recipe by name, or a YAML file.", metavar="NAME|FILE", autocompletion=complete_recipe),
    ] = "default",
    json: Json = False,
) -> None:
    """Print a recipe with every field and what it means; the output is a recipe again."""
    from pcn_cli.recipe.load import load_recipe
    from pcn_cli.recipe.recipe_yaml import explain_recipe

    recipe = load_recipe(name).recipe
    if json:
        print_json(asdict(recipe))
    else:
        out.print(explain_recipe(recipe), markup=False, soft_wrap=True, end="")


@app.command("check", epilog=examples("pcn recipes check mine.yaml", "pcn recipes check quick --set train.lr=1e-4"))
def check(
    name: Annotated[
        str,
        typer.Argument(help="A recipe by name, or a YAML file.", metavar="NAME|FILE", autocompletion=complete_recipe),
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any recipe field.", metavar="KEY=VALUE", autocompletion=complete_setting),
    ] = None,
    json: Json = False,
) -> None:
    """Check a recipe: every problem at once, each with its place."""
    from pcn_cli.recipe.load import load_recipe

    loaded = load_recipe(name, settings=settings or ())
    if json:
        print_json({"ok": True, "given": sorted(loaded.origins)})
        return
    say(f"{safe(name)} is a good recipe; it sets {len(loaded.origins)} of its own fields")
