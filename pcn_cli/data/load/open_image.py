"""The one image opener: upright RGB, first picture, or a reason in plain words.

Formats by content: JPEG (and MPO), PNG, WebP, BMP, GIF, TIFF, AVIF. Not for several threads at once: Pillow's
warnings are silenced through Python's process-wide filters.
"""

import io
import os
import stat
import warnings
from pathlib import Path
from typing import BinaryIO

from PIL import ExifTags, Image, UnidentifiedImageError

from pcn_cli.data.load.to_rgb import to_rgb
from pcn_cli.data.scan.content import HEAD_BYTES, name_content, tell_format
from pcn_cli.errors import DataError

MAX_BYTES = 256 * 2**20
MAX_PIXELS = 120_000_000

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class UnreadablePhotoError(DataError):
    """A photo cannot be opened; `reason` is what a list of unreadable files shows.

    `is_image` tells whether the content at least begins like a format that is supported.
    """

    def __init__(self, reason: str, *, path: Path | None = None, is_image: bool = True) -> None:
        super().__init__(f"cannot read {path}: {reason}" if path else reason)
        self.reason = reason
        self.is_image = is_image


def open_photo(path: Path) -> Image.Image:
    """The photo at `path`, upright, RGB, 8 bits; transparent parts are white.

    Raises:
        UnreadablePhotoError: whatever stands in the way; `reason` says it in plain words.
    """
    try:
        return decode_photo(io.BytesIO(read_bytes(path)))
    except UnreadablePhotoError as error:
        raise UnreadablePhotoError(error.reason, path=path, is_image=error.is_image) from error


def read_bytes(path: Path) -> bytes:
    """The content of a regular file of at most `MAX_BYTES`.

    Raises:
        UnreadablePhotoError: it is none, is larger, or the system refuses.
    """
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            raise UnreadablePhotoError("not a regular file", is_image=False)
        if facts.st_size > MAX_BYTES:
            size = facts.st_size / 2**20
            raise UnreadablePhotoError(f"{size:.0f} MB is more than the {MAX_BYTES >> 20} MB a photo may have")
        return path.read_bytes()
    except FileNotFoundError as error:
        reason = "the link leads nowhere" if path.is_symlink() else "the file does not exist"
        raise UnreadablePhotoError(reason, is_image=False) from error
    except PermissionError as error:
        raise UnreadablePhotoError("no permission to read the file") from error
    except (OSError, ValueError) as error:
        words = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise UnreadablePhotoError(f"the system cannot read the file ({words})") from error


def decode_photo(file: BinaryIO) -> Image.Image:
    """The photo in an open file, as `open_photo` gives it.

    Raises:
        UnreadablePhotoError: not an image, too large, or damaged.
    """
    return decode_with_mode(file)[0]


def decode_with_mode(file: BinaryIO) -> tuple[Image.Image, str]:
    """The photo in an open file, as `open_photo` gives it, and Pillow's mode of the file's own pixels.

    Raises:
        UnreadablePhotoError: not an image, too large, or damaged.
    """
    head = file.read(HEAD_BYTES)
    file.seek(0)
    kind = tell_format(head)
    if kind is None:
        raise UnreadablePhotoError(name_content(head), is_image=False)
    try:
        with warnings.catch_warnings():
            # Pillow warns of odd metadata and of large pictures; our own caps decide.
            warnings.simplefilter("ignore")
            return _decode(file, kind)
    except UnreadablePhotoError:
        raise
    # Damaged bytes make a decoder raise nearly anything: OSError, SyntaxError, TypeError, struct.error, MemoryError …
    except Exception as error:
        raise UnreadablePhotoError(_explain(error, kind)) from error


def _decode(file: BinaryIO, kind: str) -> tuple[Image.Image, str]:
    with Image.open(file, formats=(kind,)) as image:
        _check_size(*image.size)
        if kind == "TIFF":
            # Walks the chain of pictures without decoding them: a broken chain is a broken file.
            _ = getattr(image, "n_frames", 1)
        image.load()
        _check_size(*image.size)
        method = _UPRIGHT.get(_read_orientation(image))
        picture, mode = to_rgb(image), image.mode
    return picture.transpose(method) if method is not None else picture, mode


def _check_size(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise UnreadablePhotoError(f"a picture without pixels ({width}×{height})")
    if width * height > MAX_PIXELS:
        megapixels = f"{width}×{height} is more than the {MAX_PIXELS // 1_000_000} megapixels a photo may have"
        raise UnreadablePhotoError(megapixels)


def _read_orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001 - damaged metadata must not cost a picture that was decoded well
        return 1


def _explain(error: Exception, kind: str) -> str:
    message = str(error)
    if isinstance(error, Image.DecompressionBombError):
        return f"too many pixels, more than the {MAX_PIXELS // 1_000_000} megapixels a photo may have"
    if isinstance(error, MemoryError):
        return f"{kind} that needs more memory than there is"
    if isinstance(error, UnidentifiedImageError):
        return f"damaged {kind}: its header makes no sense"
    if any(word in message.lower() for word in ("truncated", "not enough image data", "buffer is not large enough")):
        return f"truncated {kind}: the file ends before the picture does"
    return f"damaged {kind} ({' '.join(message.split())[:160] or type(error).__name__})"
