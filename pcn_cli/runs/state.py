"""run.json, read and written: what made the run, and which of its stages are finished.

A stage counts as finished only after its files exist and are hashed.
"""

import logging
import platform
import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from pcn_cli import __version__
from pcn_cli.errors import ModelError, PcnError, RunError, StoppedError, command
from pcn_cli.files.atomic import check_place, explain_refusal, explaining_refusal, sha256_of, write_json
from pcn_cli.files.folder import hold_folder
from pcn_cli.files.names import refuse_inside
from pcn_cli.files.reading import read_json
from pcn_cli.records.codec import field_names, from_plain, to_plain
from pcn_cli.records.run import RunKind, RunRecord, StageRecord
from pcn_cli.runs.rundir import LATEST, RunDir

logger = logging.getLogger(__name__)
_LIBRARIES = ("torch", "torchvision", "timm", "albumentations", "scikit-learn", "numpy", "pillow", "safetensors")
_RECORD_BYTES = 2**26  # a run of a hundred thousand photos has a tenth of that
_USERINFO = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^/?#\s]*@")


def read_record(run: RunDir) -> RunRecord:
    """What run.json says.

    Raises:
        RunError: it is missing or damaged.
    """
    try:
        return from_plain(RunRecord, read_json(run.record, most=_RECORD_BYTES))
    except (FileNotFoundError, NotADirectoryError) as error:
        message = f"{run.root} is not a run folder: it has no run.json"
        raise RunError(message, "list the runs with `pcn runs`") from error
    except OSError as error:
        raise explain_refusal(error, run.record, doing="read") from error
    except (ValueError, RecursionError) as error:
        raise RunError(f"{run.record} is damaged: {error}", "start a new run with `pcn finetune PHOTOS`") from error


def photo_root(run: RunDir) -> Path:
    """The folder that the run's files are below: its own crops where boxes were cut out, otherwise the user's photos.

    Raises:
        RunError: run.json is missing or damaged.
    """
    return run.crops.absolute() if run.crops.is_dir() else Path(read_record(run).photos)


def write_record(run: RunDir, record: RunRecord) -> None:
    """Put `record` into the run folder."""
    write_json(run.record, to_plain(record))


def update_record(run: RunDir, **changes: Any) -> RunRecord:  # noqa: ANN401 - fields of RunRecord
    """The record with `changes`, as now stored."""
    record = replace(read_record(run), **changes)
    write_record(run, record)
    return record


@contextmanager
def start_run(run: RunDir, *, kind: RunKind, photos: Path, card: str, device: str) -> Iterator[None]:
    """Make the run's folder and hold it until the block ends.

    What a run that was killed before its plan was made left there is taken over.

    Raises:
        RunError: there is something else at that place, or another process holds it.
    """
    refuse_inside(run.root, [photos])
    refuse_occupied(run)
    with hold_folder(run.root, elsewhere=_ELSEWHERE):
        refuse_occupied(run)  # another process may have been quicker
        record = RunRecord(
            status="running",
            kind=kind,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            photos=str(photos.resolve()),
            card=card,
            argv=command_line(),
            versions=versions(),
            device=device,
        )
        write_record(run, record)
        yield


def versions() -> dict[str, str]:
    """The versions of everything that can change a number."""
    found = {"pcn": __version__, "python": platform.python_version(), "platform": platform.platform(terse=True)}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            found[library] = "not installed"
    return found


def command_line() -> tuple[str, ...]:
    """The words that started this process, the program by its name alone, names and passwords in addresses masked."""
    name = Path(sys.argv[0]).name.replace("__main__.py", "pcn")  # python -m pcn_cli
    return (name, *(mask_userinfo(word) for word in sys.argv[1:]))


def mask_userinfo(text: str) -> str:
    """`text` with `***` for whatever stands before the @ of an address, as in https://user:password@host."""
    return _USERINFO.sub(r"\1***@", text)


def refuse_occupied(run: RunDir) -> None:
    """Refuse a folder that is not free for a new run; what a run holds that was killed before its plan is taken over.

    Raises:
        RunError: there is something else at that place. ResourceError: it may not be read, or is a file.
    """
    if run.root.name == LATEST:
        raise RunError(f"a run cannot be called {LATEST}, which names the newest one", _ELSEWHERE)
    check_place(run.root, elsewhere=_ELSEWHERE)
    with explaining_refusal(run.root, elsewhere=_ELSEWHERE):
        if not run.root.exists():
            return
        names = {child.name for child in run.root.iterdir() if ".part" not in child.name}
    early = _UNPLANNED if _is_record(run.record) else _LOCKS
    if foreign := sorted(names - early):
        if run.recipe.is_file() and _is_record(run.record):
            go_on = command("finetune", "--resume", run.root)
            raise RunError(f"{run.root} is there already: it is a run", f"{go_on} goes on with it; or {_ELSEWHERE}")
        raise RunError(f"{run.root} is there already, with {foreign[0]} in it", _ELSEWHERE)


def _is_record(path: Path) -> bool:
    """Whether a file is the record of a run, and not somebody else's run.json."""
    with suppress(OSError, ValueError, TypeError):
        return set(read_json(path, most=_RECORD_BYTES)) <= set(field_names(RunRecord))
    return False


_ELSEWHERE = "choose another place with --output FOLDER"
_LOCKS = {".lock", ".lock-owner"}
# What a run holds before it has a recipe.
_EARLY = (RunDir.record, RunDir.log, RunDir.scan, RunDir.unreadable, RunDir.split, RunDir.trunks)
_UNPLANNED = {*_LOCKS, *(artifact.name for artifact in _EARLY)}


def sweep_parts(run: RunDir) -> None:
    """Remove what writes that were killed left in the run; the caller holds it."""
    for part in list(run.root.rglob(".*.part*")):
        if part.is_dir():
            shutil.rmtree(part)
        else:
            part.unlink(missing_ok=True)


@contextmanager
def recording_stage(
    run: RunDir, name: str, artifacts: tuple[Path, ...], *, began: float | None = None
) -> Iterator[None]:
    """Record stage `name` as finished with its seconds and the hashes of its files, once the block ended well.

    Until then the record says nothing of it, nor of a report made of older numbers. A stage that did its work before
    there was a run says when, in seconds of the monotonic clock, it `began`.
    """
    stale = {name, "report", "report-file"} if name == "evaluate" else {name}
    before = read_record(run).stages
    if stale & before.keys():
        update_record(run, stages={key: stage for key, stage in before.items() if key not in stale})
    started = time.monotonic() if began is None else began
    yield
    seconds = round(time.monotonic() - started, 2)
    inside = (path for artifact in artifacts for path in (artifact, *sorted(artifact.rglob("*"))))
    files = [path for path in inside if path.is_file() and not path.name.startswith(".")]
    hashes = {path.relative_to(run.root).as_posix(): sha256_of(path) for path in files}
    stages = {**read_record(run).stages, name: StageRecord(seconds=seconds, artifacts=hashes)}
    update_record(run, stages=stages)


@contextmanager
def recording_outcome(run: RunDir, *, done: Literal["running", "finished"] = "finished") -> Iterator[None]:
    """Write into run.json how the block ended (`done`, stopped or failed), into run.log why and what was logged in it.

    Raises:
        ResourceError: one of the two cannot be written; where the block failed, its own error is the one to tell.
    """
    with explaining_refusal(run.log):
        handler = _RunLog(run.log, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    pcn, libraries = logging.getLogger("pcn_cli"), logging.getLogger("py.warnings")
    before = pcn.level
    for one in (pcn, libraries):
        one.addHandler(handler)
    pcn.setLevel(logging.INFO)
    try:
        yield
    except (StoppedError, KeyboardInterrupt):
        logger.info("stopped")
        with suppress(PcnError):
            update_record(run, status="stopped")
        raise
    except Exception:
        logger.exception("failed")
        with suppress(PcnError):
            update_record(run, status="failed")
        raise
    else:
        update_record(run, status=done)
    finally:
        for one in (pcn, libraries):
            one.removeHandler(handler)
        pcn.setLevel(before)
        with suppress(OSError):
            handler.close()


class _RunLog(logging.FileHandler):
    """A log that is silent where it cannot be written: whatever keeps it from that is told by the work itself."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Do nothing; logging would print a traceback."""


def require(run: RunDir, path: Path, command: str) -> Path:
    """`path`, which an earlier stage made.

    Raises:
        RunError: it is not there; the hint is the `command` that makes it.
    """
    if not path.exists():
        raise RunError(f"{run.root} has no {path.relative_to(run.root)}", command)
    return path


def check_model(run: RunDir) -> None:
    """Refuse a model folder that is not byte for byte what training wrote; its README.md may have been edited.

    Raises:
        ModelError: a file is gone or changed; the message names both hashes.
    """
    for stage in read_record(run).stages.values():
        for name, expected in stage.artifacts.items():
            path = run.root / name
            if not path.is_relative_to(run.model) or path == run.model_card:
                continue
            found = sha256_of(path) if path.is_file() else "no file"
            if found != expected:
                raise ModelError(
                    f"{path} is damaged or was changed: its sha256 is {found}, the run recorded {expected}",
                    "bring the file back from a copy, or train again",
                )
