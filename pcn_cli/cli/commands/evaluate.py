"""`pcn evaluate`: measure a run again, or on other labelled photos."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pcn_cli.cli.complete import complete_model
from pcn_cli.cli.console import out, print_json, safe, say, show_table
from pcn_cli.cli.live import LiveProgress
from pcn_cli.cli.options import (
    Boxes,
    CropBoxes,
    CropCategory,
    CropConfidence,
    Device,
    FileColumn,
    Json,
    LabelColumn,
    LabelFrom,
    Labels,
    LoadTruncated,
    Masks,
    examples,
    labelling_of,
)
from pcn_cli.cli.summary import show_findings, show_numbers
from pcn_cli.errors import RecipeError, command
from pcn_cli.files.machine import importing

if TYPE_CHECKING:
    from pcn_cli.records.imagenet import Reproduction

app = typer.Typer()


@app.command(
    epilog=examples(
        "pcn evaluate",
        "pcn evaluate runs/my_images-s60-1 --images ./other_photos",
        "pcn evaluate runs/my_images-s60-1 --target-accuracy 0.98",
        "pcn evaluate nano --images ./tiny --boxes ./tiny/boxes.csv",
        "pcn evaluate s60-1k --images ./imagenet/val --record",
    )
)
def evaluate(
    run: Annotated[
        str | None,
        typer.Argument(
            help="A run; with --images also a model folder or a card. The latest run when not given.",
            metavar="RUN",
            autocompletion=complete_model,
        ),
    ] = None,
    photos: Annotated[
        Path | None,
        typer.Option(help="Where the run's own photos are now, if they moved.", metavar="FOLDER"),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(help="Measure on this labelled folder instead, into a run of its own.", metavar="PHOTOS"),
    ] = None,
    labels: Labels = None,
    file_column: FileColumn = None,
    label_column: LabelColumn = None,
    label_from: LabelFrom = None,
    crop_boxes: CropBoxes = None,
    crop_confidence: CropConfidence = None,
    crop_category: CropCategory = None,
    load_truncated: LoadTruncated = False,
    boxes: Boxes = None,
    masks: Masks = None,
    target_accuracy: Annotated[
        float | None,
        typer.Option(
            help="Choose the confidence below which answers are `unknown` anew, on the run's validation photos; the"
            " model with it goes into a run of its own.",
            metavar="0.98",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="The new run's folder; needs --images or --target-accuracy.", metavar="RUN")
    ] = None,
    record: Annotated[
        bool,
        typer.Option(
            "--record",
            help="Of a card on ImageNet's photos: keep the figures in the card, with the crop that gives the published"
            " one.",
        ),
    ] = False,
    device: Device = None,
    json: Json = False,
) -> None:
    """Measure the test part of a run again, with its maps; or measure its model on other labelled photos.

    A card of ImageNet's classes on its validation photos is measured at both crops and in both precisions in use.
    """
    from pcn_cli.stages.refusals import refuse_early

    refuse_early(
        photos=images or photos,
        output=output,
        tables=[labels, crop_boxes, boxes],
        device=device,
        weights=[run] if isinstance(run, str) and images is not None and not Path(run).exists() else (),
    )
    if images is not None and _evaluate_on_imagenet(
        run,
        images,
        labels,
        record=record,
        device=device,
        json=json,
        others={
            "--boxes": boxes,
            "--masks": masks,
            "--crop-boxes": crop_boxes,
            "--load-truncated": load_truncated or None,
            "--target-accuracy": target_accuracy,
            "--output": output,
        },
    ):
        return
    if record:
        raise RecipeError(
            "--record has no effect but for a card on ImageNet's photos", command("evaluate", "s60", "--images", "DIR")
        )
    labelling = labelling_of(
        labels,
        crop_boxes,
        file_column=file_column,
        label_column=label_column,
        label_from=label_from,
        crop_confidence=crop_confidence,
        crop_category=crop_category,
        load_truncated=load_truncated,
    )
    with LiveProgress() as callback:
        with importing():
            from pcn_cli.stages.evaluate_run import evaluate as evaluate_run

        measured = evaluate_run(
            run,
            photos=photos,
            images=images,
            labelling=labelling,
            boxes=boxes,
            masks=masks,
            target_accuracy=target_accuracy,
            output=output,
            device=device,
            callback=callback,
        )
    if json:
        print_json(measured.plain())
    else:
        show_findings(measured.findings)
        show_numbers(measured.metrics, measured.per_class)
        say(f"run: {safe(measured.run.root)}")


def _evaluate_on_imagenet(
    source: str | None,
    images: Path,
    labels: Path | None,
    *,
    record: bool,
    device: str | None,
    json: bool,
    others: Mapping[str, object],
) -> bool:
    """Whether these are ImageNet's photos and classes; they are then measured, and the figures told."""
    from pcn_cli.stages.imagenet import describe_reproduction, evaluate_imagenet, knows_imagenet, record_measured

    if source is None or not knows_imagenet(source, images, labels=labels):
        return False
    if named := [name for name, value in others.items() if value is not None]:
        raise RecipeError(f"{named[0]} has no effect on ImageNet's photos, of which no run is made", "leave it out")
    with LiveProgress() as callback:
        measured = evaluate_imagenet(source, images, labels=labels, record=record, device=device, callback=callback)
    if json:
        print_json(describe_reproduction(measured))
        return True
    _show_imagenet(measured)
    if measured.matching and not measured.recorded:
        if sys.stdin.isatty() and typer.confirm("Keep this in the card?", err=True):
            measured = record_measured(source, measured)
        else:
            say("to keep it in the card, add --record")
    if measured.recorded:
        crop = "its own crop" if measured.crop_pct is None else f"crop {measured.crop_pct:g}"
        say(f"{safe(source)} keeps these figures, and {crop}")
    return True


def _show_imagenet(measured: "Reproduction") -> None:
    from pcn_cli.stages.imagenet import tell_protocol

    published = "–" if measured.published is None else f"{measured.published:.1f}"
    rows = [
        (
            f"{one.crop_pct:g}",
            one.precision if one.precision == "float32" else f"{one.precision}, autocast",
            f"{one.top1:.2f}",
            f"{one.low:.2f}–{one.high:.2f}",
            f"{one.top5:.2f}",
            published,
        )
        for one in measured.protocols
    ]
    show_table(("crop#", "precision", "top-1 %#", "95 % interval#", "top-5 %#", "published#"), rows)
    unread = f"; {measured.unreadable:,} could not be read" if measured.unreadable else ""
    out.print(f"{measured.photos:,} photos of {measured.synsets:,} classes, on {measured.device}{unread}")
    out.print(tell_protocol(measured), soft_wrap=True)
