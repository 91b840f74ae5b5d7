"""`pcn export`: a model as one file for other runtimes, proven to answer alike."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.markup import escape

from pcn_cli.cli.complete import complete_model
from pcn_cli.cli.console import out, print_json, safe, say
from pcn_cli.cli.live import LiveProgress
from pcn_cli.cli.options import Json, Mirror, Offline, examples
from pcn_cli.files.machine import importing

app = typer.Typer()


@app.command(
    epilog=examples("pcn export", "pcn export runs/my_images-s60-1 --to openvino", "pcn export nano --images ./photos")
)
def export(
    run: Annotated[
        str | None,
        typer.Argument(
            help="A run; with --images also a model folder or a card. The latest run when not given.",
            metavar="RUN",
            autocompletion=complete_model,
        ),
    ] = None,
    to: Annotated[
        Literal["onnx", "openvino", "torch"],
        typer.Option(
            help=escape("ONNX, OpenVINO's IR (they need `pcn-cli[onnx]` and `pcn-cli[openvino]`) or PyTorch's .pt2.")
        ),
    ] = "onnx",
    images: Annotated[
        Path | None,
        typer.Option(
            help="Photos to compare the answers on, instead of the run's validation photos.", metavar="PHOTOS"
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="The folder to write into; otherwise RUN/export.", metavar="DIR")
    ] = None,
    offline: Offline = False,
    mirror: Mirror = None,
    json: Json = False,
) -> None:
    """Write a model as one file for other programs: uint8 pictures in; probabilities, decision and map out."""
    from pcn_cli.stages.refusals import refuse_early

    named = [run] if run else []
    refuse_early(photos=images if images and images.is_dir() else None, models=named, weights=named, offline=offline)
    with LiveProgress() as callback:
        with importing():
            from pcn_cli.stages.export import export as export_model

        made = export_model(run, to=to, images=images, output=output, offline=offline, mirror=mirror, callback=callback)
    parity = made.parity
    if json:
        print_json(
            {
                "model": str(made.path),
                "runner": str(made.runner),
                "photos": parity.photos,
                "largest_difference": parity.largest_difference,
                "least_correlation": parity.least_correlation,
            }
        )
        return
    say(
        f"the same answers to {parity.photos:,} photos as the model: probabilities within"
        f" {parity.largest_difference:.1g}, maps to rank correlation {parity.least_correlation:.4f}"
    )
    out.print(f"model: {safe(made.path)}", soft_wrap=True)
    out.print(f"runner: {safe(made.runner)}", soft_wrap=True)
