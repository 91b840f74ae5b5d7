"""`pcn finetune`: scan, split, train, evaluate, explain, report."""

import os
import time
from contextlib import nullcontext
from inspect import signature
from pathlib import Path
from typing import Annotated, Any

import typer

from pcn_cli.cli.browser import open_in_browser
from pcn_cli.cli.complete import complete_recipe, complete_run, complete_setting
from pcn_cli.cli.console import print_json, telling_what_stays
from pcn_cli.cli.live import LiveProgress
from pcn_cli.cli.options import FailOn, Json, examples, in_panel, recipe_options
from pcn_cli.cli.summary import show_dry_run, show_run
from pcn_cli.cli.verdict import show_verdict
from pcn_cli.errors import RecipeError, command
from pcn_cli.files.machine import importing, read_place
from pcn_cli.recipe.schema import show_options

# The panels of the help, in their order.
_PANELS = {
    "Often needed": ("model", "tune", "time", "target_accuracy", "output", "resume", "dry_run", "open_page"),
    "Photos and labels": (
        *(
            "labels",
            "file_column",
            "label_column",
            "label_from",
            "crop_boxes",
            "crop_confidence",
            "crop_category",
            "load_truncated",
            "decisions",
            "group_by",
            "split_from",
            "boxes",
            "masks",
            "fit",
            "size",
        ),
        "fail_on",
    ),
    "Training": ("recipe", "settings", "epochs", "lr", "batch_size", "balance", "pooling", "seed", "keep_checkpoints"),
    "Measuring": ("folds", "learning_curve", "log"),
    "Machine and weights": (
        "device",
        "devices",
        "precision",
        "engine",
        "workers",
        "offline",
        "mirror",
        "accept_licence",
    ),
}
_ORDER = ("photos", *(name for names in _PANELS.values() for name in names), "json")

app = typer.Typer()


def finetune(
    photos: Annotated[
        Path | None, typer.Argument(help="A folder with one sub-folder of photos per class.", metavar="PHOTOS")
    ] = None,
    *,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="A recipe by name (see `pcn recipes list`) or a YAML file.",
            metavar="NAME|FILE",
            autocompletion=complete_recipe,
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Any recipe field, such as train.weight_decay=0.1.",
            metavar="KEY=VALUE",
            autocompletion=complete_setting,
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="The run folder; otherwise runs/PHOTOS-MODEL-N.", metavar="RUN")
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            help="Go on with a stopped run; `auto` goes on or starts.", metavar="RUN|auto", autocompletion=complete_run
        ),
    ] = None,
    fail_on: FailOn = None,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Use weights whose licence forbids commercial use.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; write nothing.")] = False,
    devices: Annotated[
        int | None,
        typer.Option(
            help="Work on so many GPUs of this machine at once; with --device cpu in processes.", metavar="N", min=1
        ),
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the report in the browser at the end.")] = False,
    json: Json = False,
    **options: Any,  # noqa: ANN401 - many types
) -> None:
    """Turn a folder of photos into a classifier, measure it and report what it looks at."""
    place = read_place()
    if place.rank and devices not in (None, place.world):
        raise typer.Exit  # without a fault: a launcher that sees one would end rank 0 before it says why
    if devices is not None and place.world > 1 and devices != place.world:
        message = f"--devices {devices}: torchrun or its like has started {place.world} processes"
        raise RecipeError(message, "leave --devices out")
    if place.world > 1:  # before torch is imported: what it says of connections that end is said by us
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    if place.rank:  # what there is to refuse and to show is told by rank 0
        from pcn_cli.stages.finetune import finetune as help_finetune

        help_finetune()
        return
    from pcn_cli.stages.refusals import read_wishes, refuse_early

    wished = read_wishes(recipe, settings or (), options)
    if resume is None:
        tables, models = (
            (wished.data.labels, wished.data.decisions, wished.data.crop_boxes, wished.evaluate.boxes),
            options["model"] or (wished.model.name,),
        )
        refuse_early(
            photos=photos,
            output=output,
            models=models,
            tables=tables,
            device=wished.train.device,
            weights=(*(models if wished.model.pretrained else ()), wished.train.teacher),
            offline=options["offline"],
        )
    if devices is not None and devices > 1 and place.world == 1:
        if dry_run:
            raise RecipeError("--devices has no effect with --dry-run", "leave one of the two out")
        from pcn_cli.training.launch import launch_ranks

        launch_ranks(devices, device=wished.train.device)
        return
    began = time.monotonic()
    with LiveProgress() as callback:
        with importing():
            from pcn_cli.stages.finetune import finetune as run_finetune

        outcome = run_finetune(
            photos,
            recipe=recipe,
            settings=settings or (),
            output=output,
            resume=resume,
            fail_on=fail_on,
            accept_licence=accept_licence,
            dry_run=dry_run,
            callback=callback,
            **options,
        )
    stays = f"the run is finished and whole: {command('evaluate', outcome.run)} tells its numbers again"
    with telling_what_stays(stays) if outcome.plan is None else nullcontext():
        if json:
            print_json(outcome.plain())
        elif outcome.plan is not None:
            show_dry_run(outcome.plan, outcome.run)
        else:
            show_run(outcome, told=callback.told)
            show_verdict(outcome, seconds=time.monotonic() - began)
    if open_page and outcome.report is not None:
        open_in_browser(outcome.report)


*_own, _ = signature(finetune).parameters.values()
_panels = {name: title for title, names in _PANELS.items() for name in names}
_sorted = sorted((*recipe_options(), *_own), key=lambda one: _ORDER.index(one.name))
_shown = [in_panel(one, _panels.get(one.name)) for one in _sorted]
app.command(
    epilog=examples(
        "pcn finetune ./my_images",
        "pcn finetune ./my_images --group-by '([a-z]+[0-9]+)_' --fail-on leak",
        "pcn finetune ./my_images --model nano --tune all --epochs 20",
        "pcn finetune ./my_images --model nano --model s60 --model timm:convnext_tiny.in12k_ft_in1k",
        "pcn finetune ./my_images --pooling per-class",
        "pcn finetune ./my_images --tune all --devices 2",
        "pcn finetune --resume runs/my_images-s60-1",
    ),
)(show_options(finetune, _shown))
