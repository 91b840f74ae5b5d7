"""The crops of one photo as PNG: its very pixels, or fewer where all of them take more memory than a photo may.

A photo that takes much is decoded by a process of its own with bounds: it gets the path, tells the size, hears the
boxes, and answers with a line of JSON and the PNG of each.
"""

import hashlib
import io
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from pcn_cli.data.load.open_image import (
    OpenedPhoto,
    UnreadablePhotoError,
    decode_photo,
    open_whole,
    read_bytes,
    takes_much_memory,
)
from pcn_cli.errors import DataError
from pcn_cli.files.atomic import replacing
from pcn_cli.files.child import child_pipes, hear, hear_bytes, say
from pcn_cli.files.machine import limit_process
from pcn_cli.records.photos import Box

_MEMORY, _SECONDS = 900_000_000, 60  # of the process; the seconds are of computing
_ONE = threading.Lock()  # several at once would take the memory that one may

Edges = tuple[int, int, int, int]
Choose = Callable[[tuple[int, int], float | None], Sequence[tuple[Path, Box]]]
"""The files to make and their boxes, of a photo of a width and height; if it is truncated, also what share it lacks."""


def cut_photo(path: Path, choose: Choose, *, load_truncated: bool = False) -> list[str]:
    """The SHA-256 of each crop of the photo at `path`, which is decoded once, as they are then on the disk.

    With `load_truncated` one that is truncated is cut as far as it goes.

    Raises:
        UnreadablePhotoError: the photo cannot be opened.
        DataError: to cut it takes more memory or time than a photo may. Otherwise what `choose` raises.
    """
    hashes = []
    for target, content in (_cut_apart if takes_much_memory(path) else _cut)(path, choose, load_truncated):
        with replacing(target, durable=False) as part:
            part.write_bytes(content)
        hashes.append(hashlib.sha256(content).hexdigest())
    return hashes


def _cut(path: Path, choose: Choose, load_truncated: bool) -> Iterator[tuple[Path, bytes | memoryview]]:
    photo = open_whole(path, load_truncated=load_truncated)
    for target, box in choose(photo.size, photo.missing):
        yield target, _encode(photo, edges_of(box))


def edges_of(box: Box) -> Edges:
    """Left, top, right and bottom, the latter two behind the last pixel."""
    return box.xmin, box.ymin, box.xmax + 1, box.ymax + 1


def _encode(photo: OpenedPhoto, edges: Edges) -> memoryview:
    content = io.BytesIO()
    photo.crop(edges).save(content, format="PNG", compress_level=1)
    return content.getbuffer()


def _cut_apart(path: Path, choose: Choose, load_truncated: bool) -> Iterator[tuple[Path, bytes | memoryview]]:
    with _ONE, child_pipes(__name__) as (to, back):
        try:
            say(to, (os.fspath(path), load_truncated))
            told = hear(back)
            if "reason" in told:
                raise UnreadablePhotoError(told["reason"], path=path)
            wanted = choose(told["size"], told["missing"])
            say(to, [edges_of(box) for _, box in wanted])
            for target, _ in wanted:
                yield target, hear_bytes(back, hear(back)["bytes"])
        except BrokenPipeError as error:
            words = f"{path}: to cut its boxes out takes more memory or time than a photo may"
            raise DataError(words, "leave its boxes out, or save it with fewer pixels") from error


def answer() -> None:
    """Cut the photo that standard input names; runs in the process with bounds."""
    limit_process(memory=_MEMORY, seconds=_SECONDS)
    heard, said = sys.stdin.buffer, sys.stdout.buffer
    try:
        path, load_truncated = hear(heard)
        photo = _open_within_bounds(Path(path), load_truncated=load_truncated)
        say(said, {"size": photo.size, "missing": photo.missing})
        for edges in hear(heard):
            content = _encode(photo, edges)
            say(said, {"bytes": len(content)})
            said.write(content)
        said.flush()
    except UnreadablePhotoError as error:
        say(said, {"reason": error.reason})


def _open_within_bounds(path: Path, *, load_truncated: bool) -> OpenedPhoto:
    """The photo with every pixel where that is possible, otherwise with fewer."""
    content = read_bytes(path)
    with suppress(UnreadablePhotoError):
        return decode_photo(io.BytesIO(content), whole=True, load_truncated=load_truncated)
    return decode_photo(io.BytesIO(content), apart=True, load_truncated=load_truncated)
