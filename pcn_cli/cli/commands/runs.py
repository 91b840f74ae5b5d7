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
        status = f"[red]{one.status}[/red]" if one.status == "damaged" else one.status
        table.add_row(name, status, safe(one.card), accuracy, photos, f"{one.bytes / 1e6:,.0f} MB", one.created[:16])
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
        rows = [
            {"run": one.name, "bytes": one.bytes, "deleted": yes and not one.left, "left": one.left} for one in cleaned
        ]
        print_json(rows)
        return
    for one in cleaned:
        kept = f", left alone: {safe(one.left)}" if one.left else ""
        out.print(f"{safe(one.name)}: {one.bytes / 1e6:,.0f} MB of checkpoints{kept}", soft_wrap=True)
    total = sum(one.bytes for one in cleaned if not one.left)
    if yes:
        say(f"deleted {total / 1e6:,.0f} MB")
    else:
        say(f"{total / 1e6:,.0f} MB could go" + ("; add --yes to delete them" if total else ""))
