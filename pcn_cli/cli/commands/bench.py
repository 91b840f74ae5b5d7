"""`pcn bench`: how fast this machine is."""

from typing import Annotated

import typer

from pcn_cli.cli.console import out, print_json, safe, show_table
from pcn_cli.cli.live import LiveProgress
from pcn_cli.cli.options import Device, Json, examples
from pcn_cli.records.codec import to_plain

app = typer.Typer()


@app.command(epilog=examples("pcn bench", "pcn bench --model s60 --batch-size 8", "pcn bench --model s60 --json"))
def bench(
    model: Annotated[
        list[str] | None,
        typer.Option(help="A card, timm:NAME, run, model folder or weight file, as often as you like; otherwise nano."),
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Photos at once.", metavar="N", min=1)] = 32,
    rounds: Annotated[int, typer.Option(help="How often each piece of work is timed.", metavar="N", min=1)] = 5,
    device: Device = None,
    json: Json = False,
) -> None:
    """Measure how fast this machine decodes, predicts, explains and trains; needs no photos.

    Weights are not needed either. Figures are medians of rounds in which the pieces of work take
    turns. Other programs change the photos per second; rather trust the time of a piece over that
    of the plain forward pass in the same round.
    """
    from pcn_cli.stages.refusals import refuse_early

    refuse_early(models=model or (), device=device)
    with LiveProgress() as callback:
        from pcn_cli.stages.bench import bench as run_bench

        measured = run_bench(model or ["nano"], batch_size=batch_size, rounds=rounds, device=device, callback=callback)
    if json:
        print_json(to_plain(measured))
        return
    for one in measured.models:
        title = f"{safe(one.model)}, {one.input_size} × {one.input_size}, {one.parameters / 1e6:.1f} M parameters"
        rows = []
        for row in one.timings:
            spread = f"{row.ratio_low:.2f} – {row.ratio_high:.2f}"
            rows.append((safe(row.work), _rate(row.photos_per_second), f"{row.ratio:.2f}", spread))
        show_table(("work", "photos/s#", "× forward pass#", "in the rounds#"), rows, title=title)
        out.print(f"memory kept of each photo in a step of tuning: {one.activation_mb:.1f} MB in float32")
        out.print()
    where = f"{safe(measured.device)}, threads: {measured.threads}, photos at once: {measured.batch_size}"
    out.print(f"{where}, peak memory: {measured.memory_mb:,.0f} MB", soft_wrap=True)


def _rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}"
