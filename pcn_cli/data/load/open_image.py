"""The one image opener: upright RGB, first picture, or a reason in plain words.

Formats by content: JPEG (and MPO), PNG, WebP, BMP, GIF, TIFF, AVIF. Several threads may open photos at once. A large
JPEG can be decoded at a half, a quarter or an eighth of its size (Pillow's draft mode), which skips most of the work.
"""

import ctypes
import io
import math
import os
import stat
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from pcn_cli.data.load.apart import decode_apart
from pcn_cli.data.load.rgb import to_rgb
from pcn_cli.data.scan.content import HEAD_BYTES, name_content, tell_format
from pcn_cli.errors import DataError
from pcn_cli.records.photos import TRUNCATED

NOT_THERE = "the file does not exist"
MAX_BYTES = 256 * 2**20
MAX_PIXELS = 120_000_000
# What takes more than this, of memory or of the file, is decoded by a process of its own, which may take MOST_MEMORY.
_MEMORY_HERE, _BYTES_HERE = 256 * 2**20, 16 * 2**20
MOST_MEMORY = 850_000_000
MOST_WHOLE = 2**25  # pixels; of a picture with more, several become one
LEAST_SHOWN = 1024  # of the longer side of such a picture, which it keeps to be shown, too, without being decoded again
_MOST_PAGES = 1000
_SCAN, _JPEG_END = b"\xff\xda", b"\xff\xd9"
_OTHER_END = bytes(range(1, 255)) * 16 + _JPEG_END
MOST_MISSING = 0.5  # of the rows of a truncated photo
_ROW_BY_ROW = ("JPEG", "PNG")  # formats whose truncated files lack only the last rows
_MOST_SCANS, _MOST_SCANNED = 40, 2_000_000_000
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
    `missing` is about the share of its rows that a truncated photo lacks and one colour fills; None where it is whole.
    """

    image: Image.Image
    size: Size
    box: Rectangle
    mode: str = "RGB"
    missing: float | None = None

    @classmethod
    def whole(cls, image: Image.Image) -> "OpenedPhoto":
        """A picture with all its pixels."""
        return cls(image if image.mode == "RGB" else image.convert("RGB"), image.size, (0.0, 0.0, *image.size))

    @property
    def is_vast(self) -> bool:
        """Whether it has so many pixels in its file that it is decoded apart, with fewer."""
        return self.size[0] * self.size[1] > MOST_WHOLE

    def show(self) -> Image.Image:
        """The picture for a screen: its longer side has `LEAST_SHOWN` pixels, if there are as many, to twice that."""
        return self.image.reduce(max(1, max(self.image.size) // LEAST_SHOWN))

    def resize(self, size: Size, resample: Image.Resampling, *, box: Rectangle | None = None) -> Image.Image:
        """The photo, or the part of it in `box` (in pixels of its file), at `size`."""
        return self.image.resize(size, resample, box=self.box if box is None else self._find(box))

    def crop(self, box: Rectangle) -> Image.Image:
        """The part of it in `box` (in pixels of its file), to whole pixels of `image`, at least one."""
        return self.image.crop(whole_pixels(self._find(box), self.image.size))

    def cut(self, box: Rectangle) -> NDArray[np.uint8]:
        """What `crop` gives, as (h, w, 3)."""
        left, top, right, bottom = whole_pixels(self._find(box), self.image.size)
        return np.asarray(self.image)[top:bottom, left:right].copy()  # most cuts are large: sooner than Pillow's crop

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


class _How(NamedTuple):
    """How a photo is decoded: in a process that is `apart` already, the `whole` of it, also if it is truncated."""

    apart: bool
    whole: bool
    load_truncated: bool


def open_photo(path: Path, *, load_truncated: bool = False) -> Image.Image:
    """The photo at `path`, upright, RGB, 8 bits, with every pixel; transparent parts are white.

    Of one that lacks more than its end, at most half, `load_truncated` gives what there is.

    Raises:
        UnreadablePhotoError: whatever stands in the way; `reason` says it in plain words.
    """
    return open_whole(path, load_truncated=load_truncated).image


def open_whole(path: Path, *, load_truncated: bool = False) -> OpenedPhoto:
    """What `open_photo` gives, with the facts."""
    return _open(path, None, whole=True, load_truncated=load_truncated)


def open_reduced(path: Path, least: Least | None = None, *, load_truncated: bool = False) -> OpenedPhoto:
    """The photo at `path` as `open_photo` opens it, of a JPEG no more pixels than it takes to have the `least` size.

    Of a photo with more than `MOST_WHOLE` pixels several become one; its longer side keeps `LEAST_SHOWN`, and more.

    Raises:
        UnreadablePhotoError: whatever stands in the way.
    """
    return _open(path, least, whole=False, load_truncated=load_truncated)


def _open(path: Path, least: Least | None, *, whole: bool, load_truncated: bool) -> OpenedPhoto:
    try:
        return decode_photo(io.BytesIO(read_bytes(path)), least, whole=whole, load_truncated=load_truncated)
    except UnreadablePhotoError as error:
        raise UnreadablePhotoError(error.reason, path=path, is_image=error.is_image) from error


def takes_much_memory(path: Path) -> bool:
    """Whether all pixels of the photo at `path` take more memory than this process gives one, by the file's header.

    Of what is no photo it is false; whoever opens it says why.
    """
    with suppress(Exception), _SILENCE:  # damaged bytes make a decoder raise nearly anything
        content = read_bytes(path)
        kind = tell_format(content[:HEAD_BYTES])
        with Image.open(io.BytesIO(content), formats=[kind or ""]) as image:
            return _needed_bytes(image, kind or "", image.size, by_bands=False) > _MEMORY_HERE
    return False


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
        reason = "the link leads nowhere" if path.is_symlink() else NOT_THERE
        raise UnreadablePhotoError(reason, is_image=False) from error
    except PermissionError as error:
        raise UnreadablePhotoError("no permission to read the file") from error
    except (OSError, ValueError) as error:
        words = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise UnreadablePhotoError(f"the system cannot read the file ({words})") from error


def decode_photo(
    file: BinaryIO,
    least: Least | None = None,
    *,
    apart: bool = False,
    whole: bool = False,
    load_truncated: bool = False,
) -> OpenedPhoto:
    """The photo in an open file, as `open_reduced` gives it, or the `whole` of it.

    One that takes much memory, or of a large file, is decoded in a process with bounds, which is `apart` already.

    Raises:
        UnreadablePhotoError: not an image, too large, or damaged.
    """
    content, how = file.read(), _How(apart, whole, load_truncated)
    kind = tell_format(content[:HEAD_BYTES])
    if kind is None:
        raise UnreadablePhotoError(name_content(content[:HEAD_BYTES]), is_image=False)
    try:
        with _SILENCE:
            if len(content) > _BYTES_HERE and not (apart or whole):
                return _decode_apart(content, kind, least, how)
            return _decode(content, kind, least, how)
    except UnreadablePhotoError:
        raise
    # Damaged bytes make a decoder raise nearly anything: OSError, SyntaxError, TypeError, struct.error, MemoryError …
    except Exception as error:
        raise UnreadablePhotoError(_explain(error, kind)) from error


def _decode_apart(content: bytes, kind: str, least: Least | None, how: _How) -> OpenedPhoto:
    answer, image = decode_apart(content, least, load_truncated=how.load_truncated)
    if answer is None:
        raise UnreadablePhotoError(f"{kind} that takes more memory or time than a photo may")
    if image is None:
        raise UnreadablePhotoError(answer["reason"], is_image=answer["is_image"])
    return OpenedPhoto(image, tuple(answer["size"]), tuple(answer["box"]), answer["mode"], answer["missing"])


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


def _decode(content: bytes, kind: str, least: Least | None, how: _How) -> OpenedPhoto:
    try:
        return _decode_once(content, kind, least, how)
    except OSError as error:
        if not _is_cut(error):
            raise
        if kind == "JPEG":
            # Only the end may be missing, as viewers accept it: then the picture is the same whatever follows.
            first, second = (_decode_once(content + end, kind, least, how) for end in (_JPEG_END, _OTHER_END))
            if first.image.tobytes() == second.image.tobytes():
                return first
        if not how.load_truncated or kind not in _ROW_BY_ROW:
            raise
        return _decode_truncated(content, kind, least, how)


def _decode_truncated(content: bytes, kind: str, least: Least | None, how: _How) -> OpenedPhoto:
    """What there is of a photo whose file ends before its picture does, at least half of it."""
    if kind == "JPEG":
        return _decode_once(content + _JPEG_END, kind, least, how, truncated=True)
    if not how.apart:  # Pillow's switch is one for all threads, and none of the others asked for it
        photo = _decode_apart(content, kind, least, how)
        if how.whole and photo.image.size != photo.size:
            raise UnreadablePhotoError(f"damaged {kind}: its end is missing, and it is too large to be used without")
        return photo
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    return _decode_once(content, kind, least, how, truncated=True)


def _decode_once(content: bytes, kind: str, least: Least | None, how: _How, *, truncated: bool = False) -> OpenedPhoto:
    with Image.open(io.BytesIO(content), formats=(kind,)) as image:
        _check_size(*image.size)
        if kind == "TIFF":
            _silence_libtiff()
            _walk_pages(image)
        if kind == "JPEG":
            _check_scans(content, *image.size)
        if truncated and image.info.get("interlace"):
            raise UnreadablePhotoError(f"damaged {kind}: every part of the picture lacks something")
        stored = image.size
        least = _to_be_shown(least) if least and _is_vast(image) else least
        drafted = _draft(image, least) if kind == "JPEG" and not how.whole and (least or _is_vast(image)) else None
        if _needed_bytes(image, kind, stored, by_bands=not how.whole) > MOST_MEMORY:
            size = stored[0] * stored[1] / 1e6
            raise UnreadablePhotoError(f"a {kind} of {size:.0f} megapixels takes more memory than a photo may")
        if not (how.apart or how.whole) and (
            _is_vast(image) or _needed_bytes(image, kind, stored, by_bands=False) > _MEMORY_HERE
        ):
            return _decode_apart(content, kind, least, how)
        scale = drafted[1] if drafted else 1
        image.load()
        _check_size(*image.size)
        orientation = _orientation(image)
        factor = _shrinking(image, least, turned=orientation >= 5) if _is_vast(image) and not how.whole else 1
        picture, mode, scale = to_rgb(image, factor=factor), image.mode, scale * factor
    missing = _share_missing(picture) if truncated else None
    if missing is not None and missing > MOST_MISSING:
        raise UnreadablePhotoError(f"damaged {kind}: {missing:.0%} of the picture is missing")
    if orientation in _UPRIGHT:
        picture = picture.transpose(_UPRIGHT[orientation])
    if scale == 1:
        return OpenedPhoto(picture, picture.size, (0.0, 0.0, *picture.size), mode, missing)
    width, height = stored[::-1] if orientation >= 5 else stored
    left = picture.width - width / scale if orientation in _AT_LEFT else 0.0
    top = picture.height - height / scale if orientation in _AT_TOP else 0.0
    box = (left, top, left + width / scale, top + height / scale)
    return OpenedPhoto(picture, (width, height), box, mode, missing)


def _share_missing(picture: Image.Image) -> float:
    """The share of the rows of a picture, not turned yet, that are of one colour to its end: a decoder fills so."""
    pixels = np.asarray(picture)
    (own,) = np.nonzero((pixels != pixels[-1, -1]).any(axis=(1, 2)))
    return float(1 - (own[-1] + 1) / len(pixels)) if len(own) else 1.0


def _is_vast(image: Image.Image) -> bool:
    return image.width * image.height > MOST_WHOLE


def _to_be_shown(least: Least) -> Least:
    """At least that, and enough for a screen."""

    def wanted(width: int, height: int) -> tuple[float, float]:
        across, down = least(width, height)
        scale = LEAST_SHOWN / max(width, height)
        return max(across, scale * width), max(down, scale * height)

    return wanted


def _needed_bytes(image: Image.Image, kind: str, stored: Size, *, by_bands: bool) -> int:
    """About the most memory that it takes to decode the picture and to make RGB of it."""
    # Other formats than JPEG may tell the orientation only behind the pixels, which asking would load.
    is_upright = kind == "JPEG" and image.mode == "RGB" and _orientation(image) == 1
    each = 4 if by_bands or is_upright else 8
    if kind in ("WEBP", "AVIF"):  # which decode into copies of their own
        each = 16
    waves = 6 * stored[0] * stored[1] if image.info.get("progressive") else 0  # all are kept until the last scan
    return each * image.width * image.height + waves


def _shrinking(image: Image.Image, least: Least | None, *, turned: bool) -> int:
    """How many pixels each way become one of a vast picture; it keeps its least size where that is possible."""
    factor = math.ceil(math.sqrt(image.width * image.height / MOST_WHOLE))
    if least is None:
        return factor
    wanted = least(image.height, image.width)[::-1] if turned else least(image.width, image.height)
    return max(factor, int(min(image.width / max(wanted[0], 1), image.height / max(wanted[1], 1))))


@cache
def _silence_libtiff() -> None:
    """Let libtiff, whose errors Pillow raises, not print them on stderr as well.

    As Pillow's wheels for Linux have it; where it is elsewhere, it goes on.
    """
    for library in Path(Image.__file__).parents[1].glob("pillow.libs/libtiff*"):
        with suppress(OSError, AttributeError):
            ctypes.CDLL(str(library)).TIFFSetErrorHandler(None)


def _walk_pages(image: Image.Image) -> None:
    """Follow the chain of a TIFF's pictures without decoding them: a broken chain is a broken file."""
    for page in range(1, _MOST_PAGES):  # each is looked for among all before it
        try:
            image.seek(page)
        except EOFError:
            break
    image.seek(0)


def _check_scans(content: bytes, width: int, height: int) -> None:
    """Refuse a JPEG that goes over its pixels again and again, each time with a few bytes."""
    scans = content.count(_SCAN)
    if scans > _MOST_SCANS and scans * width * height > _MOST_SCANNED:
        raise UnreadablePhotoError(f"a JPEG in {scans:,} scans, which takes more time than a photo may")


def _draft(image: Image.Image, least: Least | None) -> tuple[Size, int] | None:
    """Let the JPEG be decoded at a fraction of its size: what that was, and the divisor; None where all is needed."""
    stored, turned = image.size, _orientation(image) >= 5
    across, down = (float(side) for side in stored)
    if least:
        wanted = least(*(stored[::-1] if turned else stored))
        across, down = wanted[::-1] if turned else wanted
    if _is_vast(image):  # whose half takes a quarter of the memory
        across, down = min(across, stored[0] / 2), min(down, stored[1] / 2)
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
    if _is_cut(error):
        return f"{TRUNCATED if kind in _ROW_BY_ROW else 'damaged'} {kind}: the file ends before the picture does"
    return f"damaged {kind} ({' '.join(message.split())[:160] or type(error).__name__})"


def _is_cut(error: Exception) -> bool:
    words = ("truncated", "not enough image data", "buffer is not large enough")
    return any(word in str(error).lower() for word in words)
