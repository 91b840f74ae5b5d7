"""Scan: what is in the folder."""

from pathlib import Path
from typing import Any

from pcn_cli.data.scan.scan import check_scan, scan_photos
from pcn_cli.files.atomic import write_csv, write_json
from pcn_cli.recipe.schema import DataSection
from pcn_cli.records.codec import to_plain
from pcn_cli.records.photos import Part, Scan
from pcn_cli.runs.rundir import RunDir
from pcn_cli.stages.callback import Callback


def inspect(
    photos: Path,
    *,
    labels: str | Path | None = None,
    group_by: str | None = None,
    only: Part | None = None,
    callback: Callback | None = None,
) -> Scan:
    """What `photos` holds, every file decoded once, or those of one part; nothing is written."""
    callback = callback or Callback()
    scan = scan_photos(
        photos,
        labels=None if labels is None else Path(labels),
        group_by=group_by,
        only=only,
        on_photo=lambda done, total: callback.on_progress("looking at photos", done, total),
        on_compared=lambda done, total: callback.on_progress("looking for near duplicates", done, total),
    )
    if scan.multi_label:
        callback.on_note(_describe_labels(scan))
    return scan


def _describe_labels(scan: Scan) -> str:
    """How many photos have several labels, and how many none."""
    counts = [len(scan.labels_of(photo)) for photo in scan.photos]
    several, none = sum(count > 1 for count in counts), counts.count(0)
    unlabelled = f", {none:,} have none" if none else ""
    return f"multi-label: {several:,} of {len(counts):,} photos have several labels{unlabelled}"


def write_scan(run: RunDir, scan: Scan) -> tuple[Path, Path]:
    """The files that hold `scan` in the run."""
    write_json(run.scan, as_plain(scan))
    write_csv(run.unreadable, ("file", "reason"), [(found.file, found.reason) for found in scan.unreadable])
    return run.scan, run.unreadable


def as_plain(scan: Scan) -> dict[str, Any]:
    """The scan as `pcn inspect --json` prints it and scan.json holds it."""
    return {"classes": scan.classes, **to_plain(scan)}


def check(scan: Scan, *, max_unreadable: float = DataSection().max_unreadable) -> None:
    """Nothing, if the scan is fit for training; otherwise DataError says why."""
    check_scan(scan, max_unreadable=max_unreadable)
