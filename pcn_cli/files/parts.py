"""Files that arrive piece by piece: what came so far survives a crash, and one process at a time writes it."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock

from pcn_cli.errors import ResourceError
from pcn_cli.files.atomic import sync_file, write_json


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What a part is a part of: the address asked, the whole size in bytes (0: unknown), the server's validators."""

    url: str
    size: int = 0
    etag: str = ""
    modified: str = ""


@dataclass(frozen=True)
class Part:
    """The beginning of a file, at `path`, with a note beside it that says of which."""

    path: Path

    @property
    def note(self) -> Path:
        """The note beside the part."""
        return self.path.with_name(self.path.name + ".json")

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self.path.stat().st_size if self.path.is_file() else 0

    def read_origin(self) -> Origin | None:
        """What it is a part of; None where that is not known."""
        try:
            return Origin(**json.loads(self.note.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def begin(self, origin: Origin) -> None:
        """Start anew with nothing of `origin`."""
        self.discard()
        write_json(self.note, asdict(origin))

    def discard(self) -> None:
        """Forget all of it."""
        with _explained(self.path):
            self.path.unlink(missing_ok=True)
            self.note.unlink(missing_ok=True)

    def free_bytes(self) -> int:
        """Bytes that its disk can still take."""
        with _explained(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return shutil.disk_usage(self.path.parent).free

    @contextmanager
    def appending(self) -> Iterator[Callable[[bytes], None]]:
        """A function that adds bytes at the end; they are on the disk when the block is left.

        Raises:
            ResourceError: the disk is full or the place not writable.
        """
        # Only our own calls are explained: an OSError of the block is the network's.
        with _explained(self.path):
            file = self.path.open("ab")

        def write(chunk: bytes) -> None:
            with _explained(self.path):
                file.write(chunk)

        try:
            yield write
        finally:
            with _explained(self.path):
                file.close()
                sync_file(self.path)


@contextmanager
def elect_writer(target: Path) -> Iterator[None]:
    """Hold the right to make `target`; others wait here until the holder is done or dead."""
    with _explained(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(target.with_name(f".{target.name}.lock"))
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ResourceError(
            f"cannot write {path}: {error.strerror or error}", "choose another place with PCN_CACHE=FOLDER"
        ) from error
