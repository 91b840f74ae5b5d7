"""Photos as small as training needs them, kept between epochs, runs and processes: decoding costs most of loading.

A file for each content (SHA-256) and form. Where a file is missing or damaged, the photo is decoded.
"""

import struct
import zlib
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pcn_cli.files.cache import FileCache

_HEADER = struct.Struct("<4s8II")  # mark, height, width, window, size, checksum
_MARK = b"pcn1"
_SAMPLED = 509  # every so many bytes one is checked: after a power cut whole pages are missing, not single bytes


class KeptPhoto(NamedTuple):
    """What of a photo is enough for every epoch: pixels (h, w, 3) uint8.

    `window` is what the photo fills of them: left, top, right, bottom; `size` its width and height in its own file.
    """

    pixels: NDArray[np.uint8]
    window: tuple[int, int, int, int]
    size: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class PhotoCache(FileCache):
    """Kept photos."""

    def read(self, key: str) -> KeptPhoto | None:
        """The photo under `key`, hexadecimal digits, or None where there is none, or a damaged one."""
        content = self.read_bytes(key)
        return None if content is None else _unpack(content)

    def write(self, key: str, photo: KeptPhoto) -> None:
        """Keep a photo under `key`, if there is room."""
        self.write_bytes(key, _pack(photo))


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
