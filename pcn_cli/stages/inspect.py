"""Inspect: what a folder of photos is like, before anything is trained. Nothing is written."""

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pcn_cli.data.scan.health import examine_photos
from pcn_cli.data.scan.scan_photos import check_scan
from pcn_cli.data.split import given_rows
from pcn_cli.errors import DataError
from pcn_cli.metrics.findings import Observations, findings
from pcn_cli.recipe.arguments import checked
from pcn_cli.recipe.load import load_recipe
from pcn_cli.recipe.schema import DataSection, FailOn, Labelling
from pcn_cli.records.codec import to_plain
from pcn_cli.records.metrics import Finding
from pcn_cli.records.photos import Health, Scan
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.photos import check_leaks, refuse_leaks, scan_folder, split_photos


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What was found; `health` is None where there are no photos."""

    scan: Scan
    health: Health | None
    leaks: Observations
    findings: tuple[Finding, ...]

    def plain(self) -> dict[str, Any]:
        """All of it as JSON."""
        return {
            **self.scan.plain(),
            "health": to_plain(self.health),
            "leaks": to_plain(self.leaks.leaks),
            "conflicts": to_plain(self.leaks.conflicts),
            "findings": to_plain(self.findings),
        }


@checked
def inspect_photos(
    photos: Path,
    *,
    labelling: Labelling | None = None,
    group_by: str | None = None,
    callback: Callback | None = None,
) -> Inspection:
    """What `photos` holds and is like; every file is decoded once.

    Raises:
        DataError: no such folder, a malformed table, or folders that would make wrong classes.
        RecipeError: a column or a pattern matches nothing.
    """
    scan = scan_folder(photos, labelling=labelling, group_by=group_by, callback=callback)
    health = examine_photos(scan)
    leaks = check_leaks(given_rows(scan), scan)
    facts = replace(leaks, health=health, train_counts=_count_training(scan), unreadable=scan.unreadable)
    return Inspection(scan=scan, health=health, leaks=leaks, findings=findings(facts))


def _count_training(scan: Scan) -> Counter[str]:
    """The photos of each class that `pcn finetune` would learn from."""
    rows = given_rows(scan)
    with suppress(DataError):  # too few to be divided: that is told at the end
        rows, _, _ = split_photos(scan, load_recipe(None))
    return Counter(name for row in rows if row.split == "train" for name in row.labels)


def refuse_unfit(inspection: Inspection, *, labelling: Labelling | None = None, fail_on: FailOn | None) -> None:
    """Raise the DataError with which `pcn finetune` would refuse the photos."""
    check_scan(inspection.scan, max_unreadable=DataSection().max_unreadable, labelling=labelling)
    split_photos(inspection.scan, load_recipe(None))
    refuse_leaks(inspection.leaks, fail_on)
