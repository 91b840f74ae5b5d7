"""`pcn embed`: what a model makes of photos, as numbers for other programs."""

from pathlib import Path
from typing import Annotated

import typer

from pcn_cli.cli.complete import complete_model
from pcn_cli.cli.console import out, print_json, safe
from pcn_cli.cli.live import LiveProgress
from pcn_cli.cli.options import Device, Json, LoadTruncated, Mirror, Offline, examples

app = typer.Typer()


@app.command(
    epilog=examples("pcn embed ./photos", "pcn embed ./photos --model runs/my_images-s60-1 --output flowers.parquet")
)
def embed(
    images: Annotated[list[str], typer.Argument(help="Photos, folders, globs.", metavar="IMAGE")],
    model: Annotated[
        str | None,
        typer.Option(
            help="A run, a model folder or a card; otherwise the latest run.",
            metavar="NAME",
            autocompletion=complete_model,
        ),
    ] = None,
    output: Annotated[Path, typer.Option(help="The file to write, .npz or .parquet.", metavar="FILE")] = Path(
        "embeddings.npz"
    ),
    load_truncated: LoadTruncated = False,
    device: Device = None,
    offline: Offline = False,
    mirror: Mirror = None,
    json: Json = False,
) -> None:
    """Write the numbers that a model's trunk makes of each photo, with content hashes, for other programs."""
    from pcn_cli.stages.refusals import refuse_early

    named = [model] if model else []
    refuse_early(models=named, weights=named, device=device, offline=offline)
    with LiveProgress() as callback:
        from pcn_cli.stages.embed import embed as embed_photos

        arrays = embed_photos(
            images,
            output=output,
            model=model,
            load_truncated=load_truncated,
            device=device,
            offline=offline,
            mirror=mirror,
            callback=callback,
        )
    photos, numbers = arrays["features"].shape
    if json:
        print_json({"output": str(output), "photos": photos, "numbers": numbers})
    else:
        out.print(f"{photos:,} photos, {numbers:,} numbers each: {safe(output)}", soft_wrap=True)
