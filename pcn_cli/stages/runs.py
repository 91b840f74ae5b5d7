"""What the runs folder holds: a row per run, and what may go: checkpoints, tokens kept for later runs, whole runs."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pcn_cli.errors import PcnError, RecipeError, RunError, command, shown
from pcn_cli.files.atomic import explaining_refusal
from pcn_cli.files.folder import TOKEN_CACHE, cache_folder, folder_bytes, hold_folder, is_held
from pcn_cli.recipe.arguments import checked
from pcn_cli.runs.rundir import LATEST, RUNS, RunDir, open_run, set_latest, slug
from pcn_cli.runs.rundir import list_runs as run_folders
from pcn_cli.runs.state import read_record
from pcn_cli.runs.store import METRICS, read_recipe
from pcn_cli.stages.earlier_runs import find_start

TOKENS = "tokens of known photos"  # what they are called among the runs


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
    """What is deleted, a run, its checkpoints or the tokens that runs left for later ones, and the bytes of it.

    `left` says why it is kept ("" where it is not); the runs `begun` with it would forget which photos it learned from.
    """

    name: str
    bytes: int
    left: str = ""
    begun: tuple[str, ...] = ()


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
    """The finished runs that still have checkpoints, and the kept tokens if there are any; deleted when `really`.

    A run that is in use or damaged is left alone, and the reason is told. A run that reads tokens meanwhile computes
    those that are gone.

    Raises:
        ResourceError: the checkpoints of a run, or the tokens, cannot be deleted.
    """
    cleaned = [_clean(run, really=really) for run in run_folders(runs) if run.checkpoints.is_dir()]
    tokens = cache_folder(TOKEN_CACHE)
    kept = [Cleaned(name=TOKENS, bytes=folder_bytes(tokens))] if tokens.is_dir() else []
    if kept and really:
        with explaining_refusal(tokens):
            shutil.rmtree(tokens)
    return [*(one for one in cleaned if one is not None), *kept]


@checked
def remove_runs(names: Sequence[str | Path], *, really: bool, runs: Path = RUNS) -> list[Cleaned]:
    """What these runs take; they are deleted when `really`, and none of them where one cannot be.

    Raises:
        RunError: one is no run, or in use.
        ResourceError: a run cannot be deleted.
    """
    # By their real places: one run may be named by several paths, among them links.
    named = [_find(name, runs) for name in names]
    places = {run.root.resolve(): run for run in named}
    removed = [
        Cleaned(name=_named(run).name, bytes=folder_bytes(run.root), begun=_list_begun(run, runs))
        for run in places.values()
    ]
    if not really:
        return removed
    for run in places.values():
        _refuse_held(run)
    for place, run in places.items():
        was_latest = _is_latest(run, runs)
        with explaining_refusal(run.root):
            with hold_folder(run.root):
                run.record.unlink()  # first what makes it a run: half of one is none
            shutil.rmtree(place)
            for link in (one.root for one in named if one.root.is_symlink() and not one.root.exists()):
                link.unlink()
        if was_latest:
            _name_newest(runs)
    return removed


@checked
def rename_run(run: str | Path, name: str, *, runs: Path = RUNS) -> Path:
    """The folder of the run under its new name, beside where it was.

    Raises:
        RunError: there is no such run, it is in use, or the name is taken.
        RecipeError: the name is no name of a folder.
        ResourceError: it cannot be renamed.
    """
    found = _find(run, runs)
    if slug(name) != name:
        raise RecipeError(f"{shown(name)} cannot be the name of a run", command("runs", "rename", run, slug(name)))
    if name == LATEST:
        raise RecipeError(f"{runs / LATEST} says which run is the latest, and cannot be one", "choose another name")
    target = _named(found).with_name(name)
    if target.exists():
        raise RunError(f"{target} exists already", "choose another name")
    was_latest = _is_latest(found, runs)
    _refuse_held(found)
    if begun := _list_begun(found, runs):
        raise RunError(
            f"{begun[0]} began with {found.root}, and knows by this name which photos that learned from",
            "keep the name, or delete what began with it first",
        )
    with explaining_refusal(found.root):
        _named(found).rename(target)
    if was_latest:
        set_latest(RunDir(target), runs=runs)
    return target


def _find(name: str | Path, runs: Path) -> RunDir:
    """The run of this name in `runs`, or the one at this path."""
    inside = RunDir(runs / name)
    if inside.root.parent == runs and inside.root.is_dir() and str(name) not in ("", ".", ".."):
        if not inside.record.is_file():
            raise RunError(f"{inside.root} is not a run folder: it has no run.json", "list the runs with `pcn runs`")
        return inside
    return open_run(Path(name), runs=runs)


def _list_begun(start: RunDir, runs: Path) -> tuple[str, ...]:
    """The names of the runs that began with the weights of `start`."""
    return tuple(other.root.name for other in run_folders(runs) if _began_with(other, start))


def _began_with(run: RunDir, start: RunDir) -> bool:
    """Whether the weights of `start` are what `run` began with."""
    try:
        found = find_start(read_recipe(run))
    except (PcnError, OSError):
        return False
    return found is not None and found.root.resolve() == start.root.resolve()


def _named(run: RunDir) -> Path:
    """The folder of a run by a path that ends in its name, as `.` does not; a link stays one."""
    return run.root if run.root.name not in ("", "..") else run.root.resolve()


def _refuse_held(run: RunDir) -> None:
    if is_held(run.root):
        raise RunError(f"{run.root} is in use by another process", "wait for it to end")


def _is_latest(run: RunDir, runs: Path) -> bool:
    try:
        return open_run(None, runs=runs).root.resolve() == run.root.resolve()
    except (RunError, OSError, ValueError):
        return False


def _name_newest(runs: Path) -> None:
    """Let the newest finished run be the latest; where there is none, nothing is."""
    finished = [row for row in list_runs(runs) if row.status == "finished" and row.photos is not None]
    if finished:
        set_latest(RunDir(runs / finished[-1].name), runs=runs)
    else:
        (runs / LATEST).unlink(missing_ok=True)


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
