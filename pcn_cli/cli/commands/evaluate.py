"""`pcn evaluate`: measure a run again, or on other labelled photos."""

from pathlib import Path
from typing import Annotated

import typer

from pcn_cli.cli.console import print_json, safe, say
from pcn_cli.cli.live import LiveProgress
from pcn_cli.cli.options import Boxes, Device, FileColumn, Json, LabelColumn, LabelFrom, Labels, examples, labelling_of
from pcn_cli.cli.summary import show_findings, show_numbers

app = typer.Typer()


@app.command(
    epilog=examples(
        "pcn evaluate",
        "pcn evaluate runs/my_images-s60-1 --images ./other_photos",
        "pcn evaluate runs/my_images-s60-1 --target-accuracy 0.98",
        "pcn evaluate nano --images ./tiny --boxes ./tiny/boxes.csv",
    )
)
def evaluate(
    run: Annotated[
        str | None,
        typer.Argument(
            help="A run; with --images also a model folder or a card. The latest run when not given.", metavar="RUN"
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
    boxes: Boxes = None,
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
    device: Device = None,
    json: Json = False,
) -> None:
    """Measure the test part of a run again, with its maps; or measure its model on other labelled photos."""
    from pcn_cli.stages.refusals import refuse_early

    refuse_early(photos=images or photos, output=output, tables=[labels, boxes], device=device)
    from pcn_cli.stages.evaluate_run import evaluate as evaluate_run

    labelling = labelling_of(labels, file_column=file_column, label_column=label_column, label_from=label_from)
    with LiveProgress() as callback:
        measured = evaluate_run(
            run,
            photos=photos,
            images=images,
            labelling=labelling,
            boxes=boxes,
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
