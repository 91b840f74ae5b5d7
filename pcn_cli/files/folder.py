"""Folders: filled beside their place and swapped in whole, held by one writer at a time, measured."""

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import platformdirs
from filelock import FileLock, Timeout

from pcn_cli.errors import RunError
from pcn_cli.files.atomic import explaining_refusal, sync, write_text
from pcn_cli.files.threads import in_threads

TOKEN_CACHE = "tokens"  # noqa: S105 - pcn's folder of tokens that runs left for later ones
PICTURE_CACHE = "pictures"  # that of the report's pictures of photos
SCAN_CACHE = "scans"  # that of what scans saw of photos
_GLANCE = 0.2  # seconds: longer than `is_held` takes to look


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Callable[[str, bytes], None]]:
    """A folder to fill, which takes the place of `folder` when the block ends well and vanishes when it does not.

    Given is a function that writes a file there, from its POSIX path below the folder and its content.

    Raises:
        ResourceError: disk full, read-only or no permission.
    """
    stem = f".{uuid4().hex[:12]}"
    part, old = folder.with_name(f"{stem}.part"), folder.with_name(f"{stem}.old")

    def put(name: str, content: bytes) -> None:
        (part / name).parent.mkdir(parents=True, exist_ok=True)
        (part / name).write_bytes(content)

    try:
        with explaining_refusal(folder):
            part.mkdir(parents=True)
            yield put
            _sync_tree(part)
            if folder.exists():
                folder.rename(old)
            try:
                part.rename(folder)
            except OSError:
                if old.exists():
                    old.rename(folder)
                raise
            sync(folder.parent)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        if folder.exists():  # otherwise the old one could not be put back, and is all there is
            shutil.rmtree(old, ignore_errors=True)


def _sync_tree(folder: Path) -> None:
    tree = [(Path(here), names) for here, _, names in os.walk(folder)]
    # Many at once: a file system writes its journal once for all that wait, which is several times faster.
    for _ in in_threads(sync, (here / name for here, names in tree for name in names), workers=32):
        pass
    for here, _ in tree:
        sync(here)


@contextmanager
def hold_folder(folder: Path, *, elsewhere: str = "") -> Iterator[None]:
    """Hold `folder` for one writer until the block ends; the system frees the lock of a process that dies.

    `elsewhere` is the hint where another place would help.

    Raises:
        RunError: another process holds it; the message names its pid and host.
        ResourceError: nothing may be written there.
    """
    lock, owner = FileLock(folder / ".lock"), folder / ".lock-owner"
    try:
        with explaining_refusal(folder, elsewhere=elsewhere):
            folder.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=_GLANCE)
    except Timeout as error:
        holder = ""
        with suppress(FileNotFoundError):  # who holds it may be gone by the time we look
            holder = owner.read_text(encoding="utf-8")
        hint = f"wait for it to end, or {elsewhere}" if elsewhere else "wait for it to end"
        raise RunError(f"{folder} is in use by {holder or 'another process'}", hint) from error
    try:
        write_text(owner, f"process {os.getpid()} on {socket.gethostname()}")
        yield
    finally:
        with suppress(OSError):
            owner.unlink(missing_ok=True)
        lock.release()


def cache_folder(name: str) -> Path:
    """Pcn's own folder of that name: below PCN_CACHE where it is set, otherwise where the system keeps caches."""
    root = os.environ.get("PCN_CACHE")
    return (Path(root) if root else platformdirs.user_cache_path("pcn", appauthor=False)) / name


def is_held(folder: Path) -> bool:
    """Whether a process holds `folder`."""
    if not (folder / ".lock").is_file():
        return False
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:  # of somebody else, or on a disk without locks: who knows
        return True
    lock.release()
    return False


def folder_bytes(folder: Path) -> int:
    """The size of all files below `folder`; one that goes away meanwhile has none."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total
