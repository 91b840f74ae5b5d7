"""`pcn inspect`: what a folder holds, before anything is trained."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pcn_cli.cli.console import new_table, out, print_json, safe, say
from pcn_cli.cli.live import LiveListener
from pcn_cli.cli.options import Json, Labels, examples

# Only named in a signature: `pcn --help` need not pay for its dataclasses.
if TYPE_CHECKING:
    from pcn_cli.records.photos import Scan


def add_to(app: typer.Typer) -> None:
    """Give `app` the command."""
    app.command("inspect", epilog=examples("pcn inspect ./my_images", "pcn inspect ./my_images --json > scan.json"))(
        inspect
    )


def inspect(
    photos: Annotated[Path, typer.Argument(help="The folder of photos.", metavar="PHOTOS")],
    labels: Labels = None,
    json: Json = False,
) -> None:
    """Look at every photo once: classes, sizes, files that cannot be read. Nothing is written."""
    from pcn_cli.stages import scan as stage

    with LiveListener() as listener:
        scan = stage.inspect(photos, labels=labels, listener=listener)
    if json:
        print_json(stage.as_plain(scan))
    else:
        _show(scan)
    stage.check(scan)


def _show(scan: "Scan") -> None:
    table = new_table("class", "photos#")
    for name, count in scan.classes.items():
        table.add_row(safe(name), f"{count:,}")
    out.print(table)
    out.print()
    out.print(
        f"{len(scan.photos):,} photos in {len(scan.classes):,} classes ({scan.layout}), "
        f"{len(scan.unreadable):,} unreadable, {len(scan.ignored):,} ignored"
    )
    for title, found in (("unreadable", scan.unreadable), ("ignored", scan.ignored)):
        for one in found[:20]:
            out.print(f"  {title}: {safe(one.file)}  [dim]{safe(one.reason)}[/dim]", soft_wrap=True)
        if len(found) > 20:
            say(f"  … and {len(found) - 20:,} more {title}; `--json` lists all")
