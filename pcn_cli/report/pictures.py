"""Pictures of photos as WebP, made once: what was made of a photo's content serves every report that shows it so.

A report made again, and one of a run that grew, mostly show photos that an earlier one showed. Kept under the SHA-256
of the photo's content, a picture is what would be made of it now.
"""

import hashlib
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import NamedTuple

import PIL
from PIL import Image

from pcn_cli import __version__
from pcn_cli.errors import PcnError
from pcn_cli.files.cache import FileCache

_HEADER = struct.Struct("<4s3I")  # mark, width, height, checksum
_MARK = b"pcw1"
_METHOD = 2  # of WebP, 0 to 6: half the time of 4, its default; 4 % more bytes, 0.3 dB less at the same quality
_LEAST_KEPT = 96  # pixels of the longer side; of a smaller photo a picture is made as soon as its file is

OpenPhoto = Callable[[str], Image.Image]


class Size(NamedTuple):
    """A picture whose longer side has at most `longest` pixels; none of a photo that has not more than `above`."""

    longest: int
    quality: int = 80
    above: float = 0.0


class WebP(NamedTuple):
    """A picture's file, with its width and height; no content stands for a photo that is too small for it."""

    content: bytes
    width: int
    height: int


@dataclass(frozen=True, kw_only=True)
class KeptPictures:
    """Pictures in a `cache`, by what `hash_photo` says of the content of a photo's file."""

    cache: FileCache
    hash_photo: Callable[[str], str]

    def read(self, file: str, size: Size) -> WebP | None:
        """The photo's picture; None where it is not kept, or damaged."""
        content = self.cache.read_bytes(self._key(file, size))
        if content is None or len(content) < _HEADER.size:
            return None
        mark, width, height, checksum = _HEADER.unpack_from(content)
        content = content[_HEADER.size :]
        return WebP(content, width, height) if mark == _MARK and zlib.crc32(content) == checksum else None

    def write(self, file: str, size: Size, picture: WebP) -> None:
        """Keep the photo's picture, if there is room."""
        header = _HEADER.pack(_MARK, picture.width, picture.height, zlib.crc32(picture.content))
        self.cache.write_bytes(self._key(file, size), header + picture.content)

    def _key(self, file: str, size: Size) -> str:
        made_by = (__version__, PIL.__version__, _METHOD, *size)
        return hashlib.sha256(f"{self.hash_photo(file)} {made_by}".encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class PhotoPictures:
    """The pictures of photos by their files, which `open_photo` opens upright; those that are `kept` are not made."""

    open_photo: OpenPhoto
    kept: KeptPictures | None = None

    def draw(self, file: str, *sizes: Size) -> tuple[WebP, ...] | None:
        """The photo's picture in each of these sizes; None where it cannot be opened any more. Threads may share it."""
        try:
            found = tuple(filter(None, (self.kept.read(file, size) for size in sizes))) if self.kept else ()
            if len(found) == len(sizes):
                return found
            with self.open_photo(file) as photo:
                made = tuple(_make(photo, size) for size in sizes)
                worth = max(photo.size) >= _LEAST_KEPT
            if self.kept and worth:
                for size, picture in zip(sizes, made, strict=True):
                    self.kept.write(file, size, picture)
        except (PcnError, OSError):
            return None
        return made


def as_webp(picture: Image.Image, *, longest: int, quality: int = 80) -> tuple[bytes, tuple[int, int]]:
    """The picture with its longer side at most `longest` pixels, never enlarged, as (WebP file, (width, height)).

    It is made anew from pixels, so that nothing of the file's metadata travels along.
    """
    scale = min(1.0, longest / max(picture.size))
    width, height = (max(1, round(side * scale)) for side in picture.size)
    pixels = picture.convert("RGB")
    if scale < 1:
        pixels = pixels.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
    # A new picture holds pixels only: no EXIF (which may say where it was taken), no profile, no comment.
    bare = Image.new("RGB", (width, height))
    bare.paste(pixels)
    file = BytesIO()
    bare.save(file, "WEBP", quality=quality, method=_METHOD)
    return file.getvalue(), (width, height)


def _make(photo: Image.Image, size: Size) -> WebP:
    if max(photo.size) <= size.above:
        return WebP(b"", 0, 0)
    content, (width, height) = as_webp(photo, longest=size.longest, quality=size.quality)
    return WebP(content, width, height)
