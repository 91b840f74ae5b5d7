"""One photo decoded by a process of its own, with bounds of memory and time, and without the libraries of the caller.

The process gets the content of the file and tells the size of the photo, hears the size that is wanted, and answers
with a line of JSON and the pixels.
"""

import json
import sys
import threading
from collections.abc import Callable
from functools import cache
from io import BytesIO
from typing import IO, Any

from PIL import Image

from pcn_cli.files.child import end_child, start_child
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
    with _ONE:
        process = start_child("pcn_cli.data.load.apart", new_session=True)  # Ctrl-C is for us, who end it
        try:
            assert process.stdin is not None  # noqa: S101 - pipes, as asked for
            assert process.stdout is not None  # noqa: S101
            head = f"{len(content)} {load_truncated:d}\n".encode("ascii")
            return _converse(process.stdin, process.stdout, head + content, least)
        finally:
            end_child(process)


def _converse(
    to: IO[bytes], back: IO[bytes], asked: bytes, least: Least | None
) -> tuple[Answer | None, Image.Image | None]:
    try:
        to.write(asked)
        to.flush()
        told = json.loads(back.readline())
        if "asks" in told:
            to.write(json.dumps(least(*told["asks"]) if least else None).encode("ascii") + b"\n")
            to.flush()
            told = json.loads(back.readline())
        if "reason" in told:
            return told, None
        pixels = back.read(3 * told["pixels"][0] * told["pixels"][1])
        return told, Image.frombytes("RGB", tuple(told["pixels"]), pixels)
    except (OSError, ValueError):  # it ended in the middle of a word
        return None, None


def answer() -> None:
    """Decode the photo on standard input; runs in the process with bounds."""
    from pcn_cli.data.load.open_image import UnreadablePhotoError, decode_photo

    limit_process(memory=_MEMORY, seconds=_SECONDS)
    heard, said = sys.stdin.buffer, sys.stdout.buffer

    def say(**words: object) -> None:
        said.write(json.dumps(words).encode("ascii") + b"\n")
        said.flush()

    @cache
    def ask(width: int, height: int) -> tuple[float, float]:
        say(asks=(width, height))
        wanted = json.loads(heard.readline())
        return tuple(wanted) if wanted else (width, height)

    try:
        length, load_truncated = map(int, heard.readline().split())
        photo = decode_photo(BytesIO(heard.read(length)), ask, apart=True, load_truncated=bool(load_truncated))
    except UnreadablePhotoError as error:
        say(reason=error.reason, is_image=error.is_image)
        return
    image = photo.image
    say(size=photo.size, box=photo.box, mode=photo.mode, missing=photo.missing, pixels=image.size)
    for top in range(0, image.height, _ROWS):
        said.write(image.crop((0, top, image.width, min(top + _ROWS, image.height))).tobytes())
    said.flush()
