"""`pcn bench`: how fast this machine is."""

from typing import TYPE_CHECKING, Annotated

import typer

from pcn_cli.cli.complete import complete_model
from pcn_cli.cli.console import new_table, out, print_json, safe
from pcn_cli.cli.live import LiveProgress
from pcn_cli.cli.options import Device, Json, examples
from pcn_cli.errors import RecipeError
from pcn_cli.records.codec import to_plain

if TYPE_CHECKING:
    from pcn_cli.stages.targets import Reached

app = typer.Typer()
BATCH_SIZE = 32


@app.command(
    epilog=examples(
        "pcn bench",
        "pcn bench --model s60 --batch-size 8",
        "pcn bench --model s60 --json",
        "pcn bench --target batch-8 --target help",
        "pcn bench --target all",
    )
)
def bench(
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="A card, timm:NAME, run, model folder or weight file, as often as you like; otherwise nano.",
            metavar="NAME",
            autocompletion=complete_model,
        ),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            help="Measure what pcn is to reach instead: batch-8, batch-1, exact, training, maps, load, load-12, cached,"
            " cached-12, cold, help, or all; with OpenVINO batch-8-cpu and batch-1-cpu, too.",
            metavar="ROW",
        ),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help=f"Photos at once; otherwise {BATCH_SIZE}.", metavar="N", min=1)
    ] = None,
    rounds: Annotated[int, typer.Option(help="How often each piece of work is timed.", metavar="N", min=1)] = 5,
    device: Device = None,
    json: Json = False,
) -> None:
    """Measure how fast this machine decodes, predicts, explains and trains; needs no photos.

    Weights are not needed either. Figures are medians of rounds in which the pieces of work take turns.

    Other programs change the photos per second; the time beside that of the forward pass in the same round is steadier.
    """
    from pcn_cli.stages.refusals import refuse_early

    refuse_early(models=model or (), device=device)
    if target:
        if model or batch_size:
            raise RecipeError(
                f"--{'model' if model else 'batch-size'} has no effect with --target", "leave one of both out"
            )
        from pcn_cli.stages.targets import measure_targets

        with LiveProgress() as callback:
            reached = measure_targets(target, rounds=rounds, device=device, callback=callback)
        if json:
            print_json(to_plain(reached))
        else:
            _show_targets(reached)
        return
    from pcn_cli.stages.bench import bench as run_bench

    with LiveProgress() as callback:
        measured = run_bench(
            model or ["nano"], batch_size=batch_size or BATCH_SIZE, rounds=rounds, device=device, callback=callback
        )
    if json:
        print_json(to_plain(measured))
        return
    for one in measured.models:
        title = f"{safe(one.model)}, {one.input_size} × {one.input_size}, {one.parameters / 1e6:.1f} M parameters"
        rows = []
        for row in one.timings:
            spread = f"{row.ratio_low:.2f} – {row.ratio_high:.2f}"
            rows.append((safe(row.work), _rate(row.photos_per_second), f"{row.ratio:.2f}", spread))
        out.print(new_table(("work", "photos/s#", "× forward pass#", "in the rounds#"), rows, title=title))
        out.print(
            f"{one.gmacs:.2f} GMACs a photo; the fastest pass reaches {one.limit_share:.0%} of a large convolution",
            soft_wrap=True,
        )
        out.print(f"memory kept of each photo in a step of tuning: {one.activation_mb:.1f} MB in float32")
        out.print()
    where = f"{safe(measured.device)}, threads: {measured.threads}, photos at once: {measured.batch_size}"
    out.print(f"{where}, peak memory: {measured.memory_mb:,.0f} MB", soft_wrap=True)


def _show_targets(reached: "tuple[Reached, ...]") -> None:
    rows = [
        (
            safe(one.words),
            f"{'≤' if one.at_most else '≥'} {one.bound:g}",
            f"{one.value:.2f}",
            f"{one.low:.2f} – {one.high:.2f}",
            "yes" if one.holds else "no",
        )
        for one in reached
    ]
    out.print(new_table(("what", "target#", "here#", "in the rounds#", "holds"), rows))


def _rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}"
