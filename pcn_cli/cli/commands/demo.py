"""`pcn demo`: everything once, on drawn photos."""

from pathlib import Path
from typing import Annotated

import typer

from pcn_cli.cli.console import out, print_json, safe
from pcn_cli.cli.live import LiveProgress
from pcn_cli.cli.options import Device, Json, examples
from pcn_cli.files.machine import importing

app = typer.Typer()


@app.command(epilog=examples("pcn demo", "pcn demo --output somewhere --json"))
def demo(
    output: Annotated[
        Path | None, typer.Option(help="A new folder for all of it; otherwise ./pcn-demo.", metavar="FOLDER")
    ] = None,
    seed: Annotated[int, typer.Option(help="Another number draws other photos.", metavar="N")] = 0,
    device: Device = None,
    json: Json = False,
) -> None:
    """Try everything in about a minute: draw photos, train on them, measure, explain, report. Needs no network."""
    from pcn_cli.stages.refusals import refuse_early

    refuse_early(device=device)
    with LiveProgress() as callback:
        with importing():
            from pcn_cli.stages.demo import demo as run_demo

        shown = run_demo(output, seed=seed, device=device, callback=callback)
    if json:
        print_json(shown.plain())
        return
    accuracy, peak = shown.accuracy, shown.peak_in_box
    out.print(f"[bold]{accuracy.value:.0%}[/bold] of {accuracy.n} test photos are classified right")
    out.print(f"[bold]{peak.value:.0%}[/bold] of their attention peaks lie inside the object's box", end="")
    out.print("" if shown.peak_in_box_right is None else f" ({shown.peak_in_box_right.value:.0%} of the right ones)")
    out.print(f"report: {safe(shown.report)}", soft_wrap=True)
