"""One photo decoded by a process of its own, with bounds of memory and time, and without the libraries of the caller.

The process gets the content of the file and tells the size of the photo, hears the size that is wanted, and answers
with a line of JSON and the pixels.
"""

import sys
import threading
from collections.abc import Callable
from functools import cache
from io import BytesIO
from typing import IO, Any

from PIL import Image

from pcn_cli.files.child import child_pipes, hear, hear_bytes, say
from pcn_cli.files.machine import limit_process

_MEMORY, _SECONDS = 900_000_000, 20  # of the process; the seconds are of computing
_ROWS = 256  # of pixels, sent at once
_ONE = threading.Lock()  # several at once would take the memory that one may

Answer = dict[str, Any]
Least = Callable[[int, int], tuple[float, float]]


def decode_apart(
    content: bytes, least: Least | None, *, load_truncated: bool = False
) -> tuple[Answer | None, Image.Image | None]:
    """What the process answers of a photo, and its pixels, if it is readable; neither where the process was ended.

    Raises:
        OSError: no process can be started.
    """
    head = f"{len(content)} {load_truncated:d}\n".encode("ascii")
    with _ONE, child_pipes("pcn_cli.data.load.apart") as (to, back):
        return _converse(to, back, head + content, least)


def _converse(
    to: IO[bytes], back: IO[bytes], asked: bytes, least: Least | None
) -> tuple[Answer | None, Image.Image | None]:
    try:
        to.write(asked)
        to.flush()
        told = hear(back)
        if "asks" in told:
            say(to, least(*told["asks"]) if least else None)
            told = hear(back)
        if "reason" in told:
            return told, None
        pixels = hear_bytes(back, 3 * told["pixels"][0] * told["pixels"][1])
        return told, Image.frombytes("RGB", tuple(told["pixels"]), pixels)
    except (OSError, ValueError):  # it ended in the middle of a word
        return None, None


def answer() -> None:
    """Decode the photo on standard input; runs in the process with bounds."""
    from pcn_cli.data.load.open_image import UnreadablePhotoError, decode_photo

    limit_process(memory=_MEMORY, seconds=_SECONDS)
    heard, said = sys.stdin.buffer, sys.stdout.buffer

    @cache
    def ask(width: int, height: int) -> tuple[float, float]:
        say(said, {"asks": (width, height)})
        wanted = hear(heard)
        return tuple(wanted) if wanted else (width, height)

    try:
        length, load_truncated = map(int, heard.readline().split())
        photo = decode_photo(BytesIO(heard.read(length)), ask, apart=True, load_truncated=bool(load_truncated))
    except UnreadablePhotoError as error:
        say(said, {"reason": error.reason, "is_image": error.is_image})
        return
    image = photo.image
    facts = {"size": photo.size, "box": photo.box, "mode": photo.mode, "missing": photo.missing}
    say(said, facts | {"pixels": image.size})
    for top in range(0, image.height, _ROWS):
        said.write(image.crop((0, top, image.width, min(top + _ROWS, image.height))).tobytes())
    said.flush()
