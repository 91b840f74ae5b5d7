"""The leak check: photos that belong together and stand in two parts, told before any number is."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pcn_cli.data.similar.leaks import find_conflicts, find_leaks
from pcn_cli.errors import DataError, RecipeError
from pcn_cli.metrics.photo_findings import PhotoFacts, photo_findings
from pcn_cli.records.metrics import Finding
from pcn_cli.records.photos import Health, SplitRow, Tie
from pcn_cli.runs.rundir import RunDir

FAIL_ON = ("leak",)


@dataclass(frozen=True, kw_only=True)
class LeakCheck:
    """What the check found: photos in two parts, pictures under two labels, photos it could not tell apart."""

    leaks: tuple[Tie, ...]
    conflicts: tuple[Tie, ...]
    alike: int = 0
    multi_label: bool = False

    def findings(self) -> tuple[Finding, ...]:
        """The same in words."""
        return photo_findings(self.facts())

    def facts(self, health: Health | None = None) -> PhotoFacts:
        """The same beside what the photos are like."""
        return PhotoFacts(
            leaks=self.leaks, conflicts=self.conflicts, alike=self.alike, health=health, multi_label=self.multi_label
        )


def check_leaks(rows: Sequence[SplitRow], near_duplicates: Iterable[Sequence[str]], *, alike: int = 0) -> LeakCheck:
    """What of the photos in `rows` stands apart and belongs together."""
    near = tuple(near_duplicates)
    return LeakCheck(
        leaks=find_leaks(rows, near),
        conflicts=find_conflicts(rows, near),
        alike=alike,
        multi_label=any(row.multi_label for row in rows),
    )


def check_run_leaks(run: RunDir, rows: Sequence[SplitRow]) -> LeakCheck:
    """The same for photos of a run, whose scan knows the near duplicates."""
    return check_scan_leaks(json.loads(run.scan.read_text(encoding="utf-8")), rows)


def check_scan_leaks(scan: Mapping[str, Any], rows: Sequence[SplitRow]) -> LeakCheck:
    """The same where a run's scan.json was read already."""
    # Runs of the first version have no near duplicates.
    return check_leaks(rows, scan.get("near_duplicates", []), alike=scan.get("alike", 0))


def refuse_leaks(check: LeakCheck, fail_on: str | None) -> None:
    """Nothing, if there are no leaks, or `fail_on` does not ask about them.

    Raises:
        DataError: there are leaks, and `fail_on` is "leak".
        RecipeError: `fail_on` is no word that is known.
    """
    if fail_on is None:
        return
    if fail_on not in FAIL_ON:
        raise RecipeError(f"--fail-on {fail_on}: expected {' or '.join(FAIL_ON)}", "--fail-on leak")
    if check.leaks:
        finding = check.findings()[0]
        hint = "take them out of one part, let pcn divide the photos, or leave --fail-on out"
        raise DataError(f"{finding.title}: {finding.evidence}", hint)
