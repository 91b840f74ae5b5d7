"""`pcn report`: the latest run as pages to look at."""

from pathlib import Path
from typing import Annotated

import typer

from pcn_cli.cli.browser import tell_page
from pcn_cli.cli.live import LiveProgress
from pcn_cli.cli.options import CropBoxes, CropCategory, CropConfidence, Json, Run, examples, labelling_of

app = typer.Typer()


@app.command(epilog=examples("pcn report", "pcn report --single-file", "pcn report --images ./new_photos"))
def report(
    run: Run = None,
    images: Annotated[
        Path | None, typer.Option(help="First predict these new photos, into a run of their own.", metavar="DIR")
    ] = None,
    crop_boxes: CropBoxes = None,
    crop_confidence: CropConfidence = None,
    crop_category: CropCategory = None,
    output: Annotated[Path | None, typer.Option(help="The new run's folder; needs --images.", metavar="RUN")] = None,
    device: Annotated[str | None, typer.Option(help="cuda, mps or cpu; needs --images.", metavar="DEVICE")] = None,
    single_file: Annotated[
        bool,
        typer.Option(
            "--single-file", help="Write RUN/report.html, one file that holds everything, up to 25 MB; for sending."
        ),
    ] = False,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    json: Json = False,
) -> None:
    """Write the report of a run: one folder, or one file, opened from disk, without a network."""
    from pcn_cli.stages.refusals import refuse_early

    refuse_early(output=output, tables=[crop_boxes], device=device)
    labelling = labelling_of(None, crop_boxes, crop_confidence=crop_confidence, crop_category=crop_category)
    with LiveProgress() as callback:
        from pcn_cli.stages.report import report as write_report

        page = write_report(
            run,
            images=images,
            labelling=labelling,
            output=output,
            device=device,
            single_file=single_file,
            callback=callback,
        )
    tell_page(page, json=json, open_page=open_page)
