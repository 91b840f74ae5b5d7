"""What the runs folder holds: a row per run, and checkpoints that are no longer needed."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pcn_cli.errors import RunError
from pcn_cli.files.atomic import explaining_refusal
from pcn_cli.files.folder import folder_bytes, hold_folder, is_held
from pcn_cli.recipe.arguments import checked
from pcn_cli.runs.rundir import RUNS, RunDir, open_run
from pcn_cli.runs.rundir import list_runs as run_folders
from pcn_cli.runs.state import read_record
from pcn_cli.runs.store import METRICS


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """One run in the list; `accuracy` is of the test part, `bytes` of everything in the folder.

    Where photos have several labels there is a mean average precision in the place of the accuracy.
    """

    name: str
    status: str = "damaged"
    card: str = ""
    created: str = ""
    accuracy: float | None = None
    photos: int | None = None
    bytes: int
    latest: bool
    mean_average_precision: float | None = None


@dataclass(frozen=True, kw_only=True)
class Cleaned:
    """A run's checkpoints and the bytes they take; `left` says why they are kept ("" where they are not)."""

    name: str
    bytes: int
    left: str = ""


def list_runs(runs: Path = RUNS) -> list[RunRow]:
    """All runs, oldest first; one whose records cannot be read has the status "damaged"."""
    try:
        latest = open_run(None, runs=runs).root.resolve()
    except (RunError, OSError, ValueError):
        latest = None
    rows = [_row(run, latest=run.root.resolve() == latest) for run in run_folders(runs)]
    return sorted(rows, key=lambda row: (row.created, row.name))


@checked
def clean_runs(*, really: bool, runs: Path = RUNS) -> list[Cleaned]:
    """The finished runs that still have checkpoints; these are deleted when `really`.

    A run that is in use or damaged is left alone, and the reason is told.

    Raises:
        ResourceError: the checkpoints of a run cannot be deleted.
    """
    cleaned = [_clean(run, really=really) for run in run_folders(runs) if run.checkpoints.is_dir()]
    return [one for one in cleaned if one is not None]


def _clean(run: RunDir, *, really: bool) -> Cleaned | None:
    found = Cleaned(name=run.root.name, bytes=folder_bytes(run.checkpoints))
    try:
        if read_record(run).status != "finished":
            return None
        if really:
            with hold_folder(run.root):
                if read_record(run).status != "finished":  # it was taken up again while we waited
                    return None
                with explaining_refusal(run.checkpoints):
                    shutil.rmtree(run.checkpoints)
    except RunError as error:
        return replace(found, left=error.message)
    except OSError as error:
        return replace(found, left=f"{run.record} cannot be read: {error.strerror}")
    return found


def _row(run: RunDir, *, latest: bool) -> RunRow:
    row = RunRow(name=run.root.name, bytes=folder_bytes(run.root), latest=latest)
    try:
        record = read_record(run)
        row = replace(row, card=record.card, created=record.created)
        metrics = METRICS.find(run) or {}
    except (RunError, OSError):
        return row
    name = next((name for name in ("accuracy", "mean_average_precision") if name in metrics), None)
    figure: dict[str, Any] = {name: metrics[name].value, "photos": metrics[name].n} if name else {}
    # A process that was killed could not say so; nobody holds what it left.
    status = "stopped" if record.status == "running" and not is_held(run.root) else record.status
    return replace(row, status=status, **figure)
