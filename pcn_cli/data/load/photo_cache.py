"""Photos as small as training needs them, kept between epochs, runs and processes: decoding costs most of loading.

A file for each content (SHA-256) and form, in one of 256 folders, each with its share of the limit, so that any number
of processes need no common count. What is least recently used makes room, but never what this run uses: of photos that
do not all fit a part is kept. Files are read, not mapped: one that another process cuts short must not end this one.
Whatever goes wrong with the cache, photos are decoded as without it.
"""

import os
import shutil
import struct
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pcn_cli.errors import ResourceError
from pcn_cli.files.atomic import replacing

FOLDERS = 256
SPARE_BYTES = 4 * 2**30  # of the disk, which are left to others
_HEADER = struct.Struct("<4s8II")  # mark, height, width, window, size, checksum
_MARK = b"pcn1"
_SAMPLED = 509  # every so many bytes one is checked: after a power cut whole pages are missing, not single bytes
_USED_AGAIN = 300.0  # seconds after which a use is noted again
_ABANDONED = 3600.0  # seconds after which nobody is writing a file any more


class KeptPhoto(NamedTuple):
    """What of a photo is enough for every epoch: pixels (h, w, 3) uint8.

    `window` is what the photo fills of them: left, top, right, bottom; `size` its width and height in its own file.
    """

    pixels: NDArray[np.uint8]
    window: tuple[int, int, int, int]
    size: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class PhotoCache:
    """Kept photos below `folder`, which take at most `limit` bytes there, and none where the disk is nearly full."""

    folder: Path
    limit: int
    started: float = field(default_factory=time.time)

    def read(self, key: str) -> KeptPhoto | None:
        """The photo under `key`, hexadecimal digits, or None where there is none, or a damaged one."""
        path = self._path(key)
        try:
            content = path.read_bytes()
            photo = _unpack(content)
            if photo is not None and time.time() - path.stat().st_mtime > _USED_AGAIN:
                os.utime(path)
        except OSError:  # not there, gone meanwhile, or of somebody else
            return None
        return photo

    def write(self, key: str, photo: KeptPhoto) -> None:
        """Keep a photo under `key`, if there is room."""
        path, content = self._path(key), _pack(photo)
        with suppress(OSError, ResourceError):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)  # photos are nobody else's business
            if shutil.disk_usage(path.parent).free - len(content) < SPARE_BYTES:
                return
            if self._make_room(path.parent, len(content)):
                with replacing(path, durable=False) as part:
                    part.write_bytes(content)

    def _make_room(self, folder: Path, needed: int) -> bool:
        """Whether `needed` bytes more fit into the folder's share, once what is older than this run is gone."""
        with os.scandir(folder) as entries:
            files = sorted(_facts(entries))
        room = self.limit // FOLDERS - sum(size for _, size, _ in files)
        for used, size, path in files:
            abandoned = path.endswith(".part") and time.time() - used > _ABANDONED
            if abandoned or (room < needed and used < self.started):
                with suppress(FileNotFoundError):  # another process made room at the same time
                    Path(path).unlink()
                room += size
        return room >= needed

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / key


def _facts(entries: Iterable["os.DirEntry[str]"]) -> Iterator[tuple[float, int, str]]:
    """When each file was last used, its bytes and its path."""
    for entry in entries:
        with suppress(FileNotFoundError):
            yield (facts := entry.stat()).st_mtime, facts.st_size, entry.path


def _pack(photo: KeptPhoto) -> bytes:
    pixels = np.ascontiguousarray(photo.pixels)
    head = (*pixels.shape[:2], *photo.window, *photo.size)
    return _HEADER.pack(_MARK, *head, _checksum(pixels.reshape(-1))) + pixels.tobytes()


def _unpack(content: bytes) -> KeptPhoto | None:
    """The photo in a file's content; None where that is not what was written."""
    if len(content) < _HEADER.size:
        return None
    mark, height, width, left, top, right, bottom, across, down, checksum = _HEADER.unpack_from(content)
    pixels = np.frombuffer(content, np.uint8, offset=_HEADER.size)
    if mark != _MARK or pixels.size != height * width * 3 or _checksum(pixels) != checksum:
        return None
    return KeptPhoto(pixels.reshape(height, width, 3), (left, top, right, bottom), (across, down))


def _checksum(pixels: NDArray[np.uint8]) -> int:
    return zlib.crc32(pixels[::_SAMPLED].tobytes())
