"""`pcn runs`: what was made so far, what it takes on the disk, and two of them compared."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pcn_cli.cli.console import new_table, out, print_json, safe, say, write_out
from pcn_cli.cli.options import Json, examples
from pcn_cli.cli.summary import show_value
from pcn_cli.errors import RecipeError
from pcn_cli.files.atomic import csv_line
from pcn_cli.records.codec import field_names, to_cells, to_plain
from pcn_cli.records.evaluation import Comparison, Difference, Flip

_MOST_FLIPS = 20
_EXAMPLES = examples("pcn runs", "pcn runs compare A B", "pcn runs clean")
app = typer.Typer(name="runs", invoke_without_command=True, epilog=_EXAMPLES)


@app.callback()
def list_runs(context: typer.Context, json: Json = False) -> None:
    """List the runs in ./runs, newest last, with what they reached and the disk they take."""
    if context.invoked_subcommand:
        return
    from pcn_cli.stages.runs import list_runs as found_runs

    found = found_runs()
    if json:
        print_json([asdict(one) for one in found])
        return
    if not found:
        say("there are no runs in ./runs yet; make one with `pcn finetune PHOTOS`")
        return
    rows = []
    for one in found:
        accuracy = "" if one.accuracy is None else f"{one.accuracy:.1%}"
        if one.mean_average_precision is not None:
            accuracy = f"mAP {one.mean_average_precision:.1%}"
        photos = "" if one.photos is None else f"{one.photos:,}"
        name = f"[bold]{safe(one.name)}[/bold] (latest)" if one.latest else safe(one.name)
        status = f"[red]{one.status}[/red]" if one.status == "damaged" else one.status
        rows.append((name, status, safe(one.card), accuracy, photos, f"{one.bytes / 1e6:,.0f} MB", one.created[:16]))
    out.print(new_table(("run", "status", "model", "accuracy#", "photos#", "disk#", "made"), rows))


@app.command("clean", epilog=examples("pcn runs clean", "pcn runs clean --yes"))
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


@app.command(
    "compare",
    epilog=examples(
        "pcn runs compare runs/my_images-s60-1 runs/my_images-s60-2", "pcn runs compare A B --csv > flips.csv"
    ),
)
def compare(
    first: Annotated[Path, typer.Argument(help="A run.", metavar="A")],
    second: Annotated[Path, typer.Argument(help="Another run.", metavar="B")],
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print the photos that they answer differently as CSV on standard output.")
    ] = False,
    json: Json = False,
) -> None:
    """Tell whether B is better than A on the test photos that both have, or whether that could be chance."""
    from pcn_cli.stages.compare import compare_runs

    if json and as_csv:
        raise RecipeError("--json and --csv were both given", "choose one")
    comparison = compare_runs(first, second)
    if json:
        print_json(to_plain(comparison))
    elif as_csv:
        write_out("".join(map(csv_line, (field_names(Flip), *map(to_cells, comparison.flips)))))
    else:
        _show(comparison)


def _show(comparison: Comparison) -> None:
    names = [safe(Path(run).name) for run in (comparison.first, comparison.second)]
    for name, count in zip(names, (comparison.only_first, comparison.only_second), strict=True):
        if count:
            say(f"{count:,} test photos of {name} are left out: the other run did not measure them under that label")
    few = "few photos" if comparison.differences[0].difference.few else ""
    both, numbers = f"{comparison.photos:,} test photos of both", [f"{name}#" for name in names]
    rows = [(*_cells(one), few) for one in comparison.differences]
    out.print(new_table((both, *numbers, "difference#", "95 % interval#", ""), rows))
    out.print()
    if comparison.flips:
        right = {"first": names[0], "second": names[1]}
        flips = [
            (*map(safe, (flip.file, flip.label, flip.first, flip.second)), right.get(flip.right, "neither"))
            for flip in comparison.flips[:_MOST_FLIPS]
        ]
        out.print(new_table(("photo", "label", *(f"{name} said" for name in names), "right"), flips))
        out.print()
    if len(comparison.flips) > _MOST_FLIPS:
        say(f"… and {len(comparison.flips) - _MOST_FLIPS:,} more photos; `--csv` lists all")
    out.print(safe(comparison.verdict), soft_wrap=True)


def _cells(one: Difference) -> list[str]:
    found = one.difference
    share = found.words.unit == "share"
    known = [end for end in (found.value, found.ci_low, found.ci_high) if end is not None]
    signed = [f"{100 * end:+.1f}" if share else f"{end:+.4f}" for end in known]
    values = [show_value(value, found) for value in (one.first, one.second)]
    return [one.title, *values, signed[0] + (" points" if share else ""), " – ".join(signed[1:])]
