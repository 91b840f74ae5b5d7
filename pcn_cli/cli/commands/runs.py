"""`pcn runs`: what was made so far, what it takes on the disk, and two of them compared."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pcn_cli.cli.browser import tell_page
from pcn_cli.cli.complete import complete_run_name
from pcn_cli.cli.console import is_narrow, out, print_json, safe, say, show_table, write_out
from pcn_cli.cli.options import Json, examples
from pcn_cli.cli.summary import show_value
from pcn_cli.errors import RecipeError, command
from pcn_cli.files.atomic import csv_line
from pcn_cli.records.codec import field_names, to_cells, to_plain
from pcn_cli.records.evaluation import Comparison, Difference, Flip

_MOST_FLIPS = 20
_EXAMPLES = examples("pcn runs", "pcn runs --report", "pcn runs compare A B", "pcn runs rename A B", "pcn runs clean")
app = typer.Typer(name="runs", invoke_without_command=True, epilog=_EXAMPLES)


@app.callback()
def list_runs(
    context: typer.Context,
    report: Annotated[
        bool, typer.Option("--report", help="Write a page of all runs instead, to sort and filter, with their reports.")
    ] = False,
    open_page: Annotated[bool, typer.Option("--open", help="Open that page in the browser; needs --report.")] = False,
    json: Json = False,
) -> None:
    """List the runs in ./runs, newest last, with what they reached and the disk they take."""
    if context.invoked_subcommand:
        if report or open_page:
            name = context.invoked_subcommand
            raise RecipeError("--report and --open stand before the name of another command", command("runs", name))
        return
    if open_page and not report:
        raise RecipeError("--open has no effect without --report", command("runs", "--report", "--open"))
    if report:
        _write_page(json=json, open_page=open_page)
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
        rows.append(
            (
                name,
                status,
                safe(one.card),
                accuracy,
                photos,
                f"{one.bytes / 1e6:,.0f} MB",
                one.created[:10],
            )
        )
    columns = ("run", "status", "model", "accuracy#", "photos#", "disk#", "made")
    # Where all do not fit, the model, which most runs are named after, and how many photos measured it stand back.
    shown = [place for place in range(len(columns)) if not is_narrow() or place not in (2, 4)]
    show_table([columns[place] for place in shown], [[row[place] for place in shown] for row in rows])


def _write_page(*, json: bool, open_page: bool) -> None:
    from pcn_cli.stages.runs_page import write_runs_page

    tell_page(write_runs_page(), json=json, open_page=open_page)


@app.command("clean", epilog=examples("pcn runs clean", "pcn runs clean --yes"))
def clean(
    yes: Annotated[bool, typer.Option("--yes", help="Really delete; otherwise only say what would go.")] = False,
    json: Json = False,
) -> None:
    """Delete the checkpoints of finished runs and the tokens kept for later ones; models, numbers and reports stay."""
    from pcn_cli.stages.runs import TOKENS, clean_runs

    cleaned = clean_runs(really=yes)
    if json:
        rows = [
            {"run": one.name, "bytes": one.bytes, "deleted": yes and not one.left, "left": one.left} for one in cleaned
        ]
        print_json(rows)
        return
    for one in cleaned:
        kept = f", left alone: {safe(one.left)}" if one.left else ""
        what = "" if one.name == TOKENS else " of checkpoints"
        out.print(f"{safe(one.name)}: {one.bytes / 1e6:,.0f} MB{what}{kept}", soft_wrap=True)
    total = sum(one.bytes for one in cleaned if not one.left)
    if yes:
        say(f"deleted {total / 1e6:,.0f} MB")
    else:
        say(f"{total / 1e6:,.0f} MB could go" + ("; add --yes to delete them" if total else ""))


@app.command("rm", epilog=examples("pcn runs rm fruit-s60-1", "pcn runs rm fruit-s60-1 fruit-s60-2 --yes"))
def remove(
    names: Annotated[
        list[str],
        typer.Argument(help="Runs in ./runs, or their folders.", metavar="RUN", autocompletion=complete_run_name),
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Really delete; otherwise only say what would go.")] = False,
    json: Json = False,
) -> None:
    """Delete whole runs, with their models and reports; the photos stay."""
    from pcn_cli.stages.runs import remove_runs

    removed = remove_runs(names, really=yes)
    if json:
        print_json([{"run": one.name, "bytes": one.bytes, "deleted": yes, "begun": one.begun} for one in removed])
        return
    for one in removed:
        out.print(f"{safe(one.name)}: {one.bytes / 1e6:,.0f} MB", soft_wrap=True)
        if begun := [name for name in one.begun if name not in [other.name for other in removed]]:
            forgotten = f"{begun[0]} began with it, and will not know any more which photos it learned from"
            out.print(f"  {safe(forgotten)}", soft_wrap=True)
    say("deleted" if yes else "all of this could go; add --yes to delete it")


@app.command("rename", epilog=examples("pcn runs rename fruit-s60-1 fruit-best"))
def rename(
    run: Annotated[
        str, typer.Argument(help="A run in ./runs, or its folder.", metavar="RUN", autocompletion=complete_run_name)
    ],
    name: Annotated[str, typer.Argument(help="Its new name.", metavar="NAME")],
) -> None:
    """Give a run another name; what names the latest run follows."""
    from pcn_cli.stages.runs import rename_run

    out.print(f"run: {safe(rename_run(run, name))}", soft_wrap=True)


@app.command(
    "compare",
    epilog=examples(
        "pcn runs compare runs/my_images-s60-1 runs/my_images-s60-2",
        "pcn runs compare A B --report",
        "pcn runs compare A B --csv > flips.csv",
    ),
)
def compare(
    first: Annotated[
        Path, typer.Argument(help="A run in ./runs, or its folder.", metavar="A", autocompletion=complete_run_name)
    ],
    second: Annotated[Path, typer.Argument(help="Another one.", metavar="B", autocompletion=complete_run_name)],
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print the photos that they answer differently as CSV on standard output.")
    ] = False,
    report: Annotated[
        bool,
        typer.Option("--report", help="Also write a page: what B fixed, broke and still has wrong, maps side by side."),
    ] = False,
    json: Json = False,
) -> None:
    """Tell whether B is better than A on the test photos that both have, or whether that could be chance."""
    from pcn_cli.stages.compare import compare_runs, write_comparison

    if json and as_csv:
        raise RecipeError("--json and --csv were both given", "choose one")
    comparison = compare_runs(_find(first), _find(second))
    if json:
        print_json(to_plain(comparison))
    elif as_csv:
        write_out("".join(map(csv_line, (field_names(Flip), *map(to_cells, comparison.flips)))))
    else:
        _show(comparison)
    if report:
        page = write_comparison(comparison)
        if json or as_csv:
            say(f"report: {safe(page)}")
        else:
            out.print(f"report: {safe(page)}", soft_wrap=True)


def _find(run: Path) -> Path:
    """The folder at this path, or else the run of this name in ./runs."""
    from pcn_cli.runs.rundir import RUNS

    return RUNS / run if not run.exists() and (RUNS / run).is_dir() else run


def _show(comparison: Comparison) -> None:
    """The runs as A and B, so that their names, which are long, stand there once."""
    names = [safe(Path(run).name) for run in (comparison.first, comparison.second)]
    out.print(f"A: {safe(comparison.first)}\nB: {safe(comparison.second)}", soft_wrap=True)
    out.print()
    for name, count in zip(names, (comparison.only_first, comparison.only_second), strict=True):
        if count:
            say(f"{count:,} test photos of {name} are left out: the other run did not measure them under that label")
    few = "few photos" if comparison.differences[0].difference.few else ""
    rows = [(*_cells(one), few) for one in comparison.differences]
    show_table((f"{comparison.photos:,} test photos of both", "A#", "B#", "difference#", "95 % interval#", ""), rows)
    out.print()
    if comparison.flips:
        right = {"first": "A", "second": "B"}
        flips = [
            (*map(safe, (flip.file, flip.label, flip.first, flip.second)), right.get(flip.right, "neither"))
            for flip in comparison.flips[:_MOST_FLIPS]
        ]
        show_table(("photo", "label", "A said", "B said", "right"), flips)
        out.print()
    if len(comparison.flips) > _MOST_FLIPS:
        say(f"… and {len(comparison.flips) - _MOST_FLIPS:,} more photos; `--csv` lists all")
    if count := len(comparison.still_wrong):
        photos = "photo is" if count == 1 else "photos are"
        say(f"{count:,} more {photos} wrong in both, in the same way; `--report` shows them")
    out.print(safe(comparison.verdict), soft_wrap=True)


def _cells(one: Difference) -> list[str]:
    found = one.difference
    share = found.words.unit == "share"
    known = [end for end in (found.value, found.ci_low, found.ci_high) if end is not None]
    signed = [f"{100 * end:+.1f}" if share else f"{end:+.4f}" for end in known]
    values = [show_value(value, found) for value in (one.first, one.second)]
    return [one.title, *values, signed[0] + (" points" if share else ""), " – ".join(signed[1:])]
