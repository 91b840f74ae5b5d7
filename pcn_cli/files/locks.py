"""One writer at a time: a lock on a folder that says who holds it."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from pcn_cli.errors import RunError
from pcn_cli.files.atomic import explain_os_error, write_text


@contextmanager
def hold_folder(folder: Path) -> Iterator[None]:
    """Hold `folder` for one writer until the block ends; the system frees the lock of a process that dies.

    Raises:
        RunError: another process holds it; the message names its pid and host.
        ResourceError: nothing may be written there.
    """
    lock, owner = FileLock(folder / ".lock"), folder / ".lock-owner"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise RunError(
            f"{folder} is in use by {_holder(owner)}", "wait for it to end, or choose another --output"
        ) from error
    except OSError as error:
        raise explain_os_error(error, folder) from error
    try:
        write_text(owner, f"process {os.getpid()} on {socket.gethostname()}")
        yield
    finally:
        with suppress(OSError):
            owner.unlink(missing_ok=True)
        lock.release()


def _holder(owner: Path) -> str:
    """Who says to hold the lock; the holder may be gone by the time we look."""
    try:
        return owner.read_text(encoding="utf-8") or "another process"
    except FileNotFoundError:
        return "another process"
