"""What the runs folder holds: a row per run, and checkpoints that are no longer needed."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pcn_cli.errors import RunError
from pcn_cli.files.locks import hold_folder
from pcn_cli.runs.rundir import RUNS, RunDir, open_run
from pcn_cli.runs.rundir import list_runs as run_folders
from pcn_cli.runs.state import read_record


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """One run in the list; `accuracy` is of the test part, `bytes` of everything in the folder."""

    name: str
    status: str
    card: str
    created: str
    accuracy: float | None
    photos: int | None
    bytes: int
    latest: bool

    def plain(self) -> dict[str, Any]:
        """The row as JSON."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Cleaned:
    """A run's checkpoints and the bytes they take."""

    name: str
    bytes: int


def list_runs(runs: Path = RUNS) -> list[RunRow]:
    """All runs, oldest first."""
    try:
        latest = open_run(None, runs=runs).root.resolve()
    except RunError:
        latest = None
    rows = [_row(run, latest=run.root.resolve() == latest) for run in run_folders(runs)]
    return sorted(rows, key=lambda row: (row.created, row.name))


def clean_runs(*, really: bool, runs: Path = RUNS) -> list[Cleaned]:
    """The finished runs that still have checkpoints; these are deleted when `really`."""
    cleaned = []
    for run in run_folders(runs):
        if read_record(run).status == "finished" and run.checkpoints.is_dir():
            cleaned.append(Cleaned(name=run.root.name, bytes=folder_bytes(run.checkpoints)))
            if really:
                with hold_folder(run.root):
                    shutil.rmtree(run.checkpoints)
    return cleaned


def folder_bytes(folder: Path) -> int:
    """The size of all files below `folder`."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _row(run: RunDir, *, latest: bool) -> RunRow:
    record = read_record(run)
    accuracy = json.loads(run.metrics.read_text(encoding="utf-8")).get("accuracy") if run.metrics.is_file() else None
    return RunRow(
        name=run.root.name,
        status=record.status,
        card=record.card,
        created=record.created,
        accuracy=accuracy and accuracy["value"],
        photos=accuracy and accuracy["n"],
        bytes=folder_bytes(run.root),
        latest=latest,
    )
