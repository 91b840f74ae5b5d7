"""The one image opener: upright RGB, first picture, or a reason in plain words.

Formats by content: JPEG (and MPO), PNG, WebP, BMP, GIF, TIFF, AVIF. Several threads may open photos at once. A large
JPEG can be decoded at a half, a quarter or an eighth of its size (Pillow's draft mode), which skips most of the work.
"""

import io
import math
import os
import stat
import threading
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import BinaryIO, NamedTuple

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
# Whether the stored picture's right and lower end comes to lie at the left and at the top.
_AT_LEFT, _AT_TOP = frozenset((2, 3, 6, 7)), frozenset((3, 4, 7, 8))

Size = tuple[int, int]
Rectangle = tuple[float, float, float, float]
Least = Callable[[int, int], tuple[float, float]]
"""The least (width, height) at which a photo of a width and height is wanted; it may be more than the photo has."""


class OpenedPhoto(NamedTuple):
    """An upright RGB photo, 8 bits, perhaps with fewer pixels than its file has.

    `size` is the photo's width and height in pixels of its file, `box` (left, top, right, bottom) where the whole photo
    lies on `image`: a reduced one may reach beyond it by a part of a pixel. `mode` is Pillow's of the file's pixels.
    """

    image: Image.Image
    size: Size
    box: Rectangle
    mode: str = "RGB"

    @classmethod
    def whole(cls, image: Image.Image) -> "OpenedPhoto":
        """A picture with all its pixels."""
        return cls(image if image.mode == "RGB" else image.convert("RGB"), image.size, (0.0, 0.0, *image.size))

    def resize(self, size: Size, resample: Image.Resampling, *, box: Rectangle | None = None) -> Image.Image:
        """The photo, or the part of it in `box` (in pixels of its file), at `size`."""
        return self.image.resize(size, resample, box=self.box if box is None else self._find(box))

    def cut(self, box: Rectangle) -> NDArray[np.uint8]:
        """The part of it in `box` (in pixels of its file), to whole pixels of `image`: (h, w, 3), at least one."""
        return np.array(self.image.crop(whole_pixels(self._find(box), self.image.size)))

    def _find(self, box: Rectangle) -> Rectangle:
        """Where `box`, in pixels of the file, lies on `image`."""
        left, top, right, bottom = self.box
        across, down = (right - left) / self.size[0], (bottom - top) / self.size[1]
        # Rounding must not carry it over the edge, which Pillow refuses.
        right, bottom = min(left + box[2] * across, right), min(top + box[3] * down, bottom)
        return left + box[0] * across, top + box[1] * down, right, bottom


def whole_pixels(box: Rectangle, size: Size) -> tuple[int, int, int, int]:
    """`box` rounded to pixels of a picture of `size`, with at least one each way."""
    left, top = (min(max(round(start), 0), end - 1) for start, end in zip(box[:2], size, strict=True))
    right, bottom = min(max(round(box[2]), left + 1), size[0]), min(max(round(box[3]), top + 1), size[1])
    return left, top, right, bottom


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
    return open_reduced(path).image


def open_reduced(path: Path, least: Least | None = None) -> OpenedPhoto:
    """The photo at `path` as `open_photo` opens it, of a JPEG no more pixels than it takes to have the `least` size.

    Raises:
        UnreadablePhotoError: whatever stands in the way.
    """
    try:
        return decode_photo(io.BytesIO(read_bytes(path)), least)
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


def decode_photo(file: BinaryIO, least: Least | None = None) -> OpenedPhoto:
    """The photo in an open file, as `open_reduced` gives it.

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
            return _decode(file, kind, least)
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


def _decode(file: BinaryIO, kind: str, least: Least | None) -> OpenedPhoto:
    with Image.open(file, formats=(kind,)) as image:
        _check_size(*image.size)
        if kind == "TIFF":
            # Walks the chain of pictures without decoding them: a broken chain is a broken file.
            _ = getattr(image, "n_frames", 1)
        drafted = _draft(image, least) if kind == "JPEG" and least else None
        image.load()
        _check_size(*image.size)
        orientation = _orientation(image)
        picture, mode = to_rgb(image), image.mode
    if orientation in _UPRIGHT:
        picture = picture.transpose(_UPRIGHT[orientation])
    if drafted is None:
        return OpenedPhoto(picture, picture.size, (0.0, 0.0, *picture.size), mode)
    stored, scale = drafted
    width, height = stored[::-1] if orientation >= 5 else stored
    left = picture.width - width / scale if orientation in _AT_LEFT else 0.0
    top = picture.height - height / scale if orientation in _AT_TOP else 0.0
    return OpenedPhoto(picture, (width, height), (left, top, left + width / scale, top + height / scale), mode)


def _draft(image: Image.Image, least: Least) -> tuple[Size, int] | None:
    """Let the JPEG be decoded at a fraction of its size: what that was, and the divisor; None where all is needed."""
    stored, turned = image.size, _orientation(image) >= 5
    wanted = least(*(stored[::-1] if turned else stored))
    across, down = wanted[::-1] if turned else wanted
    # In the form "L" Pillow would also drop the colours.
    drafted = image.draft(None, (max(1, math.ceil(across)), max(1, math.ceil(down))))
    return (stored, round(stored[0] / drafted[1][2])) if drafted and image.size != stored else None


def _orientation(image: Image.Image) -> int:
    """EXIF's number from 1 to 8; 1, upright, where there is none."""
    try:
        number = int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001 - damaged metadata must not cost a picture that is decoded well
        return 1
    return number if number in _UPRIGHT else 1


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
    """The picture as RGB with 8 bits, itself where it is that already; `image` is loaded and keeps its size."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
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
