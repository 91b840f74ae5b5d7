"""`pcn finetune`: scan, split, train, evaluate, explain, report."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pcn_cli.cli.console import out, print_json, safe
from pcn_cli.cli.live import LiveProgress
from pcn_cli.cli.options import Boxes, Device, FailOn, GroupBy, Json, Labels, Mirror, Offline, Workers, examples
from pcn_cli.cli.summary import show_dry_run, show_run


class Tune(StrEnum):
    """What learns."""

    probe = "probe"
    pooling = "pooling"
    all = "all"


class Pooling(StrEnum):
    """How many class tokens look."""

    single = "single"
    per_class = "per-class"


class Fit(StrEnum):
    """How a photo fits the square input."""

    crop = "crop"
    pad = "pad"
    squash = "squash"


class Balance(StrEnum):
    """What is done about uneven classes."""

    auto = "auto"
    none = "none"
    loss = "loss"
    sampler = "sampler"


def add_to(app: typer.Typer) -> None:
    """Give `app` the command."""
    app.command(
        "finetune",
        epilog=examples(
            "pcn finetune ./my_images",
            "pcn finetune ./my_images --group-by '([a-z]+[0-9]+)_' --fail-on leak",
            "pcn finetune ./my_images --model nano --tune all --epochs 20",
            "pcn finetune ./my_images --pooling per-class",
            "pcn finetune --resume runs/my_images-s60-1",
        ),
    )(finetune)


def finetune(
    photos: Annotated[
        Path | None, typer.Argument(help="A folder with one sub-folder of photos per class.", metavar="PHOTOS")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="A card (see `pcn models list`), timm:NAME, timm:local-dir:FOLDER, or an earlier run."),
    ] = None,
    tune: Annotated[
        Tune | None, typer.Option(help="What learns: the pooling on cached tokens, the norms as well, or everything.")
    ] = None,
    pooling: Annotated[
        Pooling | None, typer.Option(help="One class token for all classes, or one token and one map per class.")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="A recipe by name (see `pcn recipes list`) or a YAML file.", metavar="NAME|FILE")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any recipe field, such as train.weight_decay=0.1.", metavar="KEY=VALUE"),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the training photos when tuning.", metavar="N")
    ] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate of the head at batch 64.", metavar="X")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Photos per optimizer step.", metavar="N")] = None,
    size: Annotated[int | None, typer.Option(help="Side of the input in pixels.", metavar="N")] = None,
    fit: Annotated[Fit | None, typer.Option(help="How a photo fits the square input.")] = None,
    balance: Annotated[
        Balance | None,
        typer.Option(help="Uneven classes: weigh rare ones more in the loss, or draw them more often (sampler)."),
    ] = None,
    time: Annotated[str | None, typer.Option(help="Time limit for tuning, such as 20m or 2h.", metavar="20m")] = None,
    workers: Workers = None,
    output: Annotated[
        Path | None, typer.Option(help="The run folder; otherwise runs/PHOTOS-MODEL-N.", metavar="RUN")
    ] = None,
    resume: Annotated[
        str | None, typer.Option(help="Go on with a stopped run; `auto` goes on or starts.", metavar="RUN|auto")
    ] = None,
    device: Device = None,
    seed: Annotated[int | None, typer.Option(help="Seed of every random choice.", metavar="N")] = None,
    labels: Labels = None,
    boxes: Boxes = None,
    group_by: GroupBy = None,
    fail_on: FailOn = None,
    folds: Annotated[
        int | None,
        typer.Option(help="Also cross-validate the probe with K folds: every photo is answered once.", metavar="K"),
    ] = None,
    target_accuracy: Annotated[
        float | None,
        typer.Option(help="Wished share of right answers; less sure photos become `unknown`.", metavar="0.98"),
    ] = None,
    keep_checkpoints: Annotated[
        bool, typer.Option("--keep-checkpoints", help="Keep the checkpoints of the finished run.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; write nothing.")] = False,
    offline: Offline = False,
    mirror: Mirror = None,
    json: Json = False,
) -> None:
    """Turn a folder of photos into a classifier, measure it and report what it looks at."""
    from pcn_cli.stages.finetune import finetune as run_finetune

    with LiveProgress() as callback:
        outcome = run_finetune(
            photos,
            model=model,
            tune=tune and tune.value,
            pooling=pooling and pooling.value,
            recipe=recipe,
            settings=settings or (),
            epochs=epochs,
            lr=lr,
            batch_size=batch_size,
            size=size,
            fit=fit and fit.value,
            balance=balance and balance.value,
            time=time,
            workers=workers,
            output=output,
            resume=resume,
            device=device,
            seed=seed,
            labels=labels,
            boxes=boxes,
            group_by=group_by,
            fail_on=fail_on and fail_on.value,
            folds=folds,
            target_accuracy=target_accuracy,
            keep_checkpoints=keep_checkpoints or None,
            dry_run=dry_run,
            offline=offline,
            mirror=mirror,
            callback=callback,
        )
    if json:
        print_json(outcome.plain())
    elif outcome.plan is not None:
        show_dry_run(outcome)
    else:
        show_run(outcome)
        out.print(f"report: {safe(outcome.report)}", soft_wrap=True)
