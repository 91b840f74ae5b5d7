"""Options that several commands share, each defined once; those of the recipe say what its schema says."""

from copy import copy
from inspect import Parameter
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from rich.markup import escape
from typer.models import OptionInfo

from pcn_cli.cli.complete import complete_model, complete_run
from pcn_cli.recipe import schema
from pcn_cli.recipe.schema import FLAGS, OPTIONS, PREDICT, WEIGHTS, Bounds, Labelling, Option

_COMPLETING = {"model": complete_model, "RUN": complete_run}  # by an option's name, or by its metavar


def option_of(option: Option, *, bounded: bool = False) -> OptionInfo:
    """The option of a command that the schema defines; Typer minds its bounds where it is `bounded`."""
    bounds = next((one for one in get_args(option.type) if bounded and isinstance(one, Bounds)), Bounds())
    found: OptionInfo = typer.Option(
        option.flag_name,
        help=option.sentence,
        metavar=option.flag or None,
        envvar=option.envvar,
        autocompletion=_COMPLETING.get(option.argument) or _COMPLETING.get(option.flag or ""),
        min=bounds.ge,
        max=bounds.le,
    )
    return found


Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
Device = Annotated[str | None, option_of(OPTIONS["train.device"])]
Labels = Annotated[Path | None, option_of(OPTIONS["data.labels"])]
FileColumn = Annotated[str | None, option_of(OPTIONS["data.file_column"])]
LabelColumn = Annotated[str | None, option_of(OPTIONS["data.label_column"])]
CropBoxes = Annotated[Path | None, option_of(OPTIONS["data.crop_boxes"])]
CropConfidence = Annotated[float | None, option_of(OPTIONS["data.crop_confidence"])]
CropCategory = Annotated[str | None, option_of(OPTIONS["data.crop_category"])]
LoadTruncated = Annotated[bool, option_of(OPTIONS["data.load_truncated"])]
LabelFrom = Annotated[str | None, option_of(OPTIONS["data.label_from"])]
Boxes = Annotated[Path | None, option_of(OPTIONS["evaluate.boxes"])]
Masks = Annotated[Path | None, option_of(OPTIONS["evaluate.masks"])]
GroupBy = Annotated[str | None, option_of(OPTIONS["split.group_by"])]
FailOn = Annotated[
    schema.FailOn | None,
    typer.Option(help="End with code 3 where photos of two parts are the same, before anything is trained."),
]
Run = Annotated[
    Path | None,
    typer.Argument(
        help="A run folder; the latest finished run when not given.", metavar="RUN", autocompletion=complete_run
    ),
]
Offline = Annotated[bool, option_of(PREDICT["offline"])]
Mirror = Annotated[str | None, option_of(PREDICT["mirror"])]


def labelling_of(labels: Path | None, crop_boxes: Path | None, **others: Any) -> Labelling:  # noqa: ANN401 - two types
    """What the options say of labels and boxes, in one value; `others` are its further fields."""
    table, boxes = (None if file is None else str(file) for file in (labels, crop_boxes))
    return Labelling(labels=table, crop_boxes=boxes, **others)


def recipe_options() -> list[Parameter]:
    """The options of WEIGHTS, and one for each field of the recipe that has a flag.

    The latter have no bounds: the recipe's reader minds them, and tells all problems at once.
    """
    fields = [_parameter(name, option_of(one), one, default=None) for name, one in FLAGS.items()]
    return [*fields, *(_parameter(name, option_of(one), one, default=one.default) for name, one in WEIGHTS.items())]


def predict_options() -> list[Parameter]:
    """An option for each field of PredictOptions."""
    return [_parameter(name, option_of(one, bounded=True), one, default=one.default) for name, one in PREDICT.items()]


def _parameter(name: str, shown: OptionInfo, option: Option, *, default: object) -> Parameter:
    """One of a command's `**options` with the type that Typer knows: without bounds, and the first of several."""
    kind = option.type
    if NoneType in get_args(kind):
        kind = next(one for one in get_args(kind) if one is not NoneType)
    if get_origin(kind) is Annotated:
        kind = kind.__origin__
    kind = Literal["auto", *get_args(kind)] if option.auto else kind
    kind = list[kind] if option.several else kind  # type: ignore[valid-type]
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind | None, shown])


def in_panel(parameter: Parameter, title: str | None) -> Parameter:
    """The same parameter of a command in a panel of its help; None for the panel of all."""
    kind, shown = get_args(parameter.annotation)
    shown = copy(shown)
    shown.rich_help_panel = title
    return parameter.replace(annotation=Annotated[kind, shown])


def examples(*lines: str) -> str:
    """The text below a command's help: one example per line."""
    return "Examples:\n\n" + "\n\n".join(f"  {escape(line)}" for line in lines)
