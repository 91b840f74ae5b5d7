"""Options that several commands share, each defined once; those of the recipe say what its schema says."""

from inspect import Parameter
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from typer.models import OptionInfo

from pcn_cli.recipe import schema
from pcn_cli.recipe.schema import FLAGS, OPTIONS, Option


def recipe_option(key: str, *flags: str) -> OptionInfo:
    """The option of a command that stands for a field of the recipe."""
    option: OptionInfo = typer.Option(*flags, help=OPTIONS[key].sentence, metavar=OPTIONS[key].flag or None)
    return option


def bounded_option(kind: Any, *, help: str, metavar: str) -> OptionInfo:  # noqa: A002, ANN401 - Typer's word; a type
    """An option for a number within the bounds of `kind`, such as the schema's Count."""
    _, bounds = get_args(kind)
    option: OptionInfo = typer.Option(help=help, metavar=metavar, min=bounds.ge, max=bounds.le)
    return option


Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
Device = Annotated[str | None, recipe_option("train.device")]
Labels = Annotated[Path | None, recipe_option("data.labels")]
Boxes = Annotated[Path | None, recipe_option("evaluate.boxes")]
GroupBy = Annotated[str | None, recipe_option("split.group_by")]
FailOn = Annotated[
    schema.FailOn | None,
    typer.Option(help="End with code 3 where photos of two parts are the same, before anything is trained."),
]
Run = Annotated[
    Path | None, typer.Argument(help="A run folder; the latest finished run when not given.", metavar="RUN")
]
Offline = Annotated[
    bool, typer.Option("--offline", envvar="PCN_OFFLINE", help="Never use the network; weights come from the cache.")
]
Mirror = Annotated[
    str | None,
    typer.Option(envvar="PCN_MIRROR", help="Get published weights from this address instead.", metavar="URL"),
]


def keyword(name: str, kind: Any, default: object = None) -> Parameter:  # noqa: ANN401 - a type
    """One of the `**options` that a command only hands on, as Typer reads it."""
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=kind)


WEIGHTS_OPTIONS = (keyword("offline", Offline, default=False), keyword("mirror", Mirror))


def recipe_options() -> list[Parameter]:
    """An option for each field of the recipe that has a flag."""
    return [
        keyword(name, Annotated[_typer_type(one) | None, recipe_option(one.key, one.flag_name)])
        for name, one in FLAGS.items()
    ]


def _typer_type(option: Option) -> Any:  # noqa: ANN401 - there are many types
    """The type of a field without its bounds: the recipe's reader minds them, and tells all problems at once."""
    kind = option.type
    if NoneType in get_args(kind):
        kind = next(one for one in get_args(kind) if one is not NoneType)
    if get_origin(kind) is Annotated:
        kind = kind.__origin__
    return Literal["auto", *get_args(kind)] if option.auto else kind


def examples(*lines: str) -> str:
    """The text below a command's help: one example per line."""
    return "Examples:\n\n" + "\n\n".join(f"  {line}" for line in lines)
