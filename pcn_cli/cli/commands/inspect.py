"""`pcn inspect`: what a folder holds, before anything is trained."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from pcn_cli.cli.console import out, print_json, safe, say, show_table
from pcn_cli.cli.live import LiveProgress
from pcn_cli.cli.options import (
    CropBoxes,
    CropCategory,
    CropConfidence,
    FailOn,
    FileColumn,
    GroupBy,
    Json,
    LabelColumn,
    LabelFrom,
    Labels,
    LoadTruncated,
    examples,
    labelling_of,
)
from pcn_cli.cli.summary import show_findings
from pcn_cli.records.photos import Health, Scan

# Only named in a signature: `pcn --help` need not pay for what it imports.
if TYPE_CHECKING:
    from pcn_cli.stages.inspect import Inspection

_MOST_LINES = 20
_Found = TypeVar("_Found")

app = typer.Typer()


@app.command(
    epilog=examples(
        "pcn inspect ./my_images",
        "pcn inspect ./my_images --json > scan.json",
        "pcn inspect ./my_images --fail-on leak",
    )
)
def inspect(
    photos: Annotated[Path, typer.Argument(help="The folder of photos.", metavar="PHOTOS")],
    labels: Labels = None,
    file_column: FileColumn = None,
    label_column: LabelColumn = None,
    label_from: LabelFrom = None,
    crop_boxes: CropBoxes = None,
    crop_confidence: CropConfidence = None,
    crop_category: CropCategory = None,
    load_truncated: LoadTruncated = False,
    group_by: GroupBy = None,
    fail_on: FailOn = None,
    json: Json = False,
) -> None:
    """Look at every photo once: classes, sizes, copies, unreadable files, and what speaks against training as it is.

    Ends with code 3 where `pcn finetune` would refuse the photos. Nothing is written.
    """
    from pcn_cli.stages.refusals import refuse_early

    refuse_early(photos=photos, tables=[labels, crop_boxes])
    labelling = labelling_of(
        labels,
        crop_boxes,
        file_column=file_column,
        label_column=label_column,
        label_from=label_from,
        crop_confidence=crop_confidence,
        crop_category=crop_category,
        load_truncated=load_truncated,
    )
    with LiveProgress() as callback:
        from pcn_cli.stages.inspect import inspect_photos, refuse_unfit

        inspection = inspect_photos(photos, labelling=labelling, group_by=group_by, callback=callback)
    if json:
        print_json(inspection.plain())
    else:
        _show(inspection)
    refuse_unfit(inspection, labelling=labelling, fail_on=fail_on)


def _show(inspection: "Inspection") -> None:
    scan = inspection.scan
    show_table(("class", "photos#"), [(safe(name), f"{count:,}") for name, count in scan.classes.items()])
    out.print()
    if inspection.health is not None:
        _show_health(scan, inspection.health)
    out.print(
        f"{len(scan.photos):,} photos in {len(scan.classes):,} classes ({scan.layout}), "
        f"{len(scan.unreadable):,} unreadable, {len(scan.ignored):,} ignored"
    )
    copies = inspection.health.exact_duplicates if inspection.health else ()
    _show_lines("exact duplicates", copies, lambda files: _join_files(files, "="))
    _show_lines("near duplicates", scan.near_duplicates, lambda files: _join_files(files, "≈"))
    for title, found in (("unreadable", scan.unreadable), ("ignored", scan.ignored)):
        _show_lines(title, found, lambda one: f"{safe(one.file)}  [dim]{safe(one.reason)}[/dim]")
    out.print()
    show_findings(inspection.findings)


def _show_health(scan: Scan, health: Health) -> None:
    spreads = {"width": health.widths, "height": health.heights, "width ÷ height": health.aspects}
    rows = [
        (name, *(f"{value:.2f}" if "÷" in name else f"{value:,.0f}" for value in (one.least, one.median, one.most)))
        for name, one in spreads.items()
    ]
    show_table(("", "least#", "median#", "most#"), rows)
    out.print()
    exact, near = (
        f"{sum(map(len, sets)):,} photos in {len(sets):,} sets" if sets else "none"
        for sets in (health.exact_duplicates, scan.near_duplicates)
    )
    facts = {
        "modes": ", ".join(f"{safe(mode)} {count:,}" for mode, count in health.modes.items()),
        "largest class over smallest": f"{health.imbalance:.1f}",
        "exact duplicates": exact,
        "near duplicates": near,
        "groups that stay together": f"{len({photo.group for photo in scan.photos if photo.group}):,}",
        "recommended": f"--fit {health.fit}: {safe(health.fit_reason)}",
    }
    show_table(("", ""), facts.items())
    out.print()


def _join_files(files: Iterable[str], sign: str) -> str:
    """Files that are alike; in a terminal each on a line of its own, so that no name is broken at its edge."""
    return (f"\n    {sign} " if out.is_terminal else f" {sign} ").join(map(safe, files))


def _show_lines(title: str, found: Sequence[_Found], describe: Callable[[_Found], str]) -> None:
    for one in found[:_MOST_LINES]:
        out.print(f"  {title}: {describe(one)}", soft_wrap=True)
    if len(found) > _MOST_LINES:
        say(f"  … and {len(found) - _MOST_LINES:,} more {title}; `--json` lists all")
