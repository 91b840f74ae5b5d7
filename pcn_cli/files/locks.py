"""One writer at a time: a lock on a folder that says who holds it."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pcn_cli.errors import RunError


@contextmanager
def hold_folder(folder: Path) -> Iterator[None]:
    """Hold `folder` for one writer until the block ends.

    Raises:
        RunError: another process holds it; the message names its pid and host.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock, owner = FileLock(folder / ".lock"), folder / ".lock-owner"
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        held_by = owner.read_text(encoding="utf-8") if owner.exists() else "another process"
        raise RunError(f"{folder} is in use by {held_by}", "wait for it to end, or choose another --output") from error
    try:
        owner.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()
