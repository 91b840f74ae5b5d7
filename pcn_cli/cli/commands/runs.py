"""`pcn runs`: what was made so far, and what it takes on the disk."""

from typing import Annotated

import typer

from pcn_cli.cli.console import new_table, out, print_json, safe, say
from pcn_cli.cli.options import Json, examples

runs = typer.Typer(invoke_without_command=True)


def add_to(app: typer.Typer) -> None:
    """Give `app` the commands."""
    app.add_typer(runs, name="runs", epilog=examples("pcn runs", "pcn runs clean"))


@runs.callback()
def list_runs(context: typer.Context, json: Json = False) -> None:
    """List the runs in ./runs, newest last, with what they reached and the disk they take."""
    if context.invoked_subcommand:
        return
    from pcn_cli.stages.runs import list_runs as found_runs

    found = found_runs()
    if json:
        print_json([one.plain() for one in found])
        return
    if not found:
        say("there are no runs in ./runs yet; make one with `pcn finetune PHOTOS`")
        return
    table = new_table("run", "status", "model", "accuracy#", "photos#", "disk#", "made")
    for one in found:
        accuracy = "" if one.accuracy is None else f"{one.accuracy:.1%}"
        photos = "" if one.photos is None else f"{one.photos:,}"
        name = f"[bold]{safe(one.name)}[/bold] (latest)" if one.latest else safe(one.name)
        table.add_row(
            name, one.status, safe(one.card), accuracy, photos, f"{one.bytes / 1e6:,.0f} MB", one.created[:16]
        )
    out.print(table)


@runs.command("clean", epilog=examples("pcn runs clean", "pcn runs clean --yes"))
def clean(
    yes: Annotated[bool, typer.Option("--yes", help="Really delete; otherwise only say what would go.")] = False,
    json: Json = False,
) -> None:
    """Delete the checkpoints of runs that are finished; models, numbers and reports stay."""
    from pcn_cli.stages.runs import clean_runs

    cleaned = clean_runs(really=yes)
    if json:
        print_json([{"run": one.name, "bytes": one.bytes, "deleted": yes} for one in cleaned])
        return
    for one in cleaned:
        out.print(f"{safe(one.name)}: {one.bytes / 1e6:,.0f} MB of checkpoints", soft_wrap=True)
    total = sum(one.bytes for one in cleaned)
    if yes:
        say(f"deleted {total / 1e6:,.0f} MB")
    else:
        say(f"{total / 1e6:,.0f} MB could go" + ("; add --yes to delete them" if cleaned else ""))
