"""Files kept between runs and processes, under keys that say all that their content depends on.

They lie in 256 folders, each with its share of the limit, so that any number of processes need no common count: each
looks again how full a folder is once it has written an eighth of what was free there. What is least recently used makes
room, but never what this run uses: of what does not all fit a part is kept. Files are read, not mapped: one that
another process cuts short must not end this one. Whatever goes wrong, the work is done as without.
"""

import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pcn_cli.errors import ResourceError
from pcn_cli.files.atomic import replacing

FOLDERS = 256
SPARE_BYTES = 4 * 2**30  # of the disk, which are left to others
_USED_AGAIN = 300.0  # seconds after which a use is noted again
_ABANDONED = 3600.0  # seconds after which nobody is writing a file any more
_TRUSTED = 8  # one part of the free room in so many is written before a folder is looked through again


@dataclass(frozen=True, kw_only=True)
class FileCache:
    """Files below `folder`, which take at most `limit` bytes there, and none where the disk is nearly full.

    Processes that fill it at the same time may each pass the limit by an eighth.
    """

    folder: Path
    limit: int
    started: float = field(default_factory=time.time)
    _free: dict[Path, int] = field(default_factory=dict, init=False, repr=False, compare=False)  # bytes, by folder

    def holds(self, key: str) -> bool:
        """Whether there is a file under `key`; what is in it may still be damaged."""
        return self._path(key).is_file()

    def read_bytes(self, key: str) -> bytes | None:
        """What stands under `key`, hexadecimal digits, or None where there is nothing."""
        path = self._path(key)
        try:
            content = path.read_bytes()
            if time.time() - path.stat().st_mtime > _USED_AGAIN:
                os.utime(path)
        except OSError:  # not there, gone meanwhile, or of somebody else
            return None
        return content

    def write_bytes(self, key: str, content: bytes) -> None:
        """Keep `content` under `key`, if there is room."""
        path = self._path(key)
        with suppress(OSError, ResourceError):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)  # photos are nobody else's business
            if is_spare(path.parent, len(content)) and self._make_room(path.parent, len(content)):
                with replacing(path, durable=False) as part:
                    part.write_bytes(content)

    def _make_room(self, folder: Path, needed: int) -> bool:
        """Whether `needed` bytes more fit into the folder's share, once what is older than this run is gone."""
        # To look through the folder for every file would cost the square of their number.
        self._free[folder] = self._free.get(folder, 0) - needed
        if self._free[folder] >= 0:
            return True
        with os.scandir(folder) as entries:
            files = sorted(_facts(entries))
        room = self.limit // FOLDERS - sum(size for _, size, _ in files)
        for used, size, path in files:
            abandoned = path.endswith(".part") and time.time() - used > _ABANDONED
            if abandoned or (room < needed and used < self.started):
                with suppress(FileNotFoundError):  # another process made room at the same time
                    Path(path).unlink()
                room += size
        self._free[folder] = (room - needed) // _TRUSTED
        return room >= needed

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / key


def is_spare(folder: Path, needed: int = 0) -> bool:
    """Whether the disk that `folder` is on has so many bytes more than are left to others."""
    return shutil.disk_usage(folder).free - needed >= SPARE_BYTES


def _facts(entries: Iterable["os.DirEntry[str]"]) -> Iterator[tuple[float, int, str]]:
    """When each file was last used, its bytes and its path."""
    for entry in entries:
        with suppress(FileNotFoundError):
            yield (facts := entry.stat()).st_mtime, facts.st_size, entry.path
