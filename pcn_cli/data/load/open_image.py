"""The one image opener: upright RGB, first picture, or a reason in plain words.

Formats by content: JPEG (and MPO), PNG, WebP, BMP, GIF, TIFF, AVIF. Several threads may open photos at once.
"""

import io
import os
import stat
import threading
import warnings
from functools import cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError

from pcn_cli.data.scan.content import HEAD_BYTES, name_content, tell_format
from pcn_cli.errors import DataError

MAX_BYTES = 256 * 2**20
MAX_PIXELS = 120_000_000
_TOO_MANY_PIXELS = f"more than the {MAX_PIXELS // 1_000_000} megapixels a photo may have"

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
        return decode_photo(io.BytesIO(read_bytes(path)))[0]
    except UnreadablePhotoError as error:
        raise UnreadablePhotoError(error.reason, path=path, is_image=error.is_image) from error


def read_bytes(path: Path) -> bytes:
    """The content of a regular file of at most `MAX_BYTES`; any other is an UnreadablePhotoError."""
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


def decode_photo(file: BinaryIO) -> tuple[Image.Image, str]:
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
        with _SILENCE:
            return _decode(file, kind)
    except UnreadablePhotoError:
        raise
    # Damaged bytes make a decoder raise nearly anything: OSError, SyntaxError, TypeError, struct.error, MemoryError …
    except Exception as error:
        raise UnreadablePhotoError(_explain(error, kind)) from error


class _Silence:
    """A context without warnings: Pillow warns of odd metadata and of large pictures, and our own caps decide.

    Python's filters are the process's: the first thread to enter sets them, and the last to leave puts them back.
    """

    def __init__(self) -> None:
        self._lock, self._inside, self._filters = threading.Lock(), 0, warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.simplefilter("ignore")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._filters.__exit__(None, None, None)


_SILENCE = _Silence()


def _decode(file: BinaryIO, kind: str) -> tuple[Image.Image, str]:
    with Image.open(file, formats=(kind,)) as image:
        _check_size(*image.size)
        if kind == "TIFF":
            # Walks the chain of pictures without decoding them: a broken chain is a broken file.
            _ = getattr(image, "n_frames", 1)
        image.load()
        _check_size(*image.size)
        try:
            method = _UPRIGHT.get(int(image.getexif().get(ExifTags.Base.Orientation, 1)))
        except Exception:  # noqa: BLE001 - damaged metadata must not cost a picture that was decoded well
            method = None
        picture, mode = to_rgb(image), image.mode
    return picture.transpose(method) if method is not None else picture, mode


def _check_size(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise UnreadablePhotoError(f"a picture without pixels ({width}×{height})")
    if width * height > MAX_PIXELS:
        raise UnreadablePhotoError(f"{width}×{height} is {_TOO_MANY_PIXELS}")


def _explain(error: Exception, kind: str) -> str:
    message = str(error)
    if isinstance(error, Image.DecompressionBombError):
        return f"too many pixels, {_TOO_MANY_PIXELS}"
    if isinstance(error, MemoryError):
        return f"{kind} that needs more memory than there is"
    if isinstance(error, UnidentifiedImageError):
        return f"damaged {kind}: its header makes no sense"
    if any(word in message.lower() for word in ("truncated", "not enough image data", "buffer is not large enough")):
        return f"truncated {kind}: the file ends before the picture does"
    return f"damaged {kind} ({' '.join(message.split())[:160] or type(error).__name__})"


_BITS_PER_SAMPLE = 258  # TIFF tag


def to_rgb(image: Image.Image) -> Image.Image:
    """The picture as RGB with 8 bits; `image` is loaded and keeps its size."""
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image).astype(np.float32)
        low, high = _value_range(image, values)
        grey = np.clip((np.nan_to_num(values, nan=low) - low) * (255 / (high - low)), 0, 255)
        transparent = image.info.get("transparency")
        if isinstance(transparent, int):
            grey[values == transparent] = 255
        return Image.fromarray(np.rint(grey).astype(np.uint8)).convert("RGB")
    if image.mode == "LAB":
        return ImageCms.applyTransform(image, _lab_to_srgb()) or image.convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema() != (255, 255):
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _value_range(image: Image.Image, values: NDArray[np.float32]) -> tuple[float, float]:
    """Black and white: what the format defines, otherwise the smallest common range that holds every value."""
    bits = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, (16,))[0]
    if image.mode.startswith("I;16"):
        return 0.0, float(2 ** min(max(int(bits), 8), 16) - 1)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    for white in (1.0,) if image.mode == "F" else (255.0, 65535.0):
        if low >= 0 and high <= white:
            return 0.0, white
    return low, high if high > low else low + 1


@cache
def _lab_to_srgb() -> ImageCms.ImageCmsTransform:
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(lab, srgb, "LAB", "RGB")
