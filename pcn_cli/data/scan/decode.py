"""Photos decoded for a scan, in processes of their own: a file that crashes its decoder costs only itself.

Such a process takes a path, whether it may be truncated, and what earlier scans saw, in JSON on a line, and answers
with the file's facts so. It keeps a decoder's crash, its memory and its noise on stderr away from the command, and
needs neither `fork` nor a guarded main module.
The pools of concurrent.futures and loky do not do: a worker that dies takes all open tasks along, and none tells whose
fault it was.

What an earlier scan saw of the same bytes is not decoded again.
"""

import base64
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cache
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image

from pcn_cli import __version__
from pcn_cli.data.load.open_image import NOT_THERE, OpenedPhoto, UnreadablePhotoError, decode_photo, read_bytes
from pcn_cli.data.scan.content import HEAD_BYTES, tell_format
from pcn_cli.errors import ResourceError
from pcn_cli.files.child import end_child, say, start_child
from pcn_cli.files.kept_texts import KeptTexts
from pcn_cli.files.machine import available_cores

CRASHED = "the decoder crashed on this file"
SKETCH_SIDE = 24  # pixels
_LEAST_SIDE = 8 * SKETCH_SIDE  # of what is decoded: every byte of the file is read all the same
_FILES_PER_WORKER = 32  # fewer than this do not pay for starting another process
_TOGETHER = 16  # photos handed to a thread at once, which saves it a third of its time with small ones
_ROUNDS = 64  # handed to each, at least: the last ones are waited for
_DEATHS = 2  # at one file: the first may have been the system's, which ends whom it likes when memory is short
_STARTS = 3  # tries to start a process, for the same reason
_READY = b"ready\n"
_MOST_KEPT = 200_000  # photos that earlier scans saw; each takes 2.7 kB
_FORM = 1  # of these facts; another number once a photo's would be others, or be told otherwise


@dataclass(frozen=True, kw_only=True, slots=True)
class FileFacts:
    """What decoding one file told: upright size in pixels, content hash, mode, or the reason why there is none.

    `sketch` is the picture in a few pixels, as base64 because it travels in JSON. `is_image` is False where the content
    does not even begin like a supported image. `missing` is as in OpenedPhoto. `recalled` is what an earlier scan saw.
    """

    width: int = 0
    height: int = 0
    sha256: str = ""
    mode: str = ""
    sketch: str = ""
    reason: str = ""
    is_image: bool = True
    missing: float | None = None
    recalled: bool = False


def inspect_file(path: Path, *, load_truncated: bool = False, seen: Path | None = None) -> FileFacts:
    """The facts of the file at `path`, read and decoded once; never raises for a bad file.

    A photo of which the file `seen` holds the facts is not decoded.
    """
    try:
        content = read_bytes(path)
        # Of what is no image, a film for example, no hash is needed.
        sha256 = hashlib.sha256(content).hexdigest() if tell_format(content[:HEAD_BYTES]) else ""
        if seen is not None and sha256 and (recalled := _recall(seen, sha256)):
            return recalled
        least = (_LEAST_SIDE, _LEAST_SIDE)
        photo = decode_photo(io.BytesIO(content), lambda *_: least, load_truncated=load_truncated)
    except UnreadablePhotoError as error:
        return FileFacts(reason=error.reason, is_image=error.is_image)
    return FileFacts(
        width=photo.size[0],
        height=photo.size[1],
        sha256=sha256,
        mode=photo.mode,
        sketch=base64.b64encode(draw_sketch(photo)).decode("ascii"),
        missing=photo.missing,
    )


def keep_seen(facts: Iterable[FileFacts], seen: Path) -> None:
    """Keep the facts of whole photos in the file `seen`, for later scans."""
    new = [one for one in facts if one.sha256 and one.missing is None and not one.recalled]
    if new:
        KeptTexts(seen, most=_MOST_KEPT).write((_key(one.sha256), json.dumps(asdict(one))) for one in new)


def _recall(seen: Path, sha256: str) -> FileFacts | None:
    """What an earlier scan saw of the photo, if that was kept."""
    text = _open_seen(seen).read(_key(sha256))
    return None if text is None else replace(FileFacts(**json.loads(text)), recalled=True)


@cache
def _open_seen(seen: Path) -> KeptTexts:
    return KeptTexts(seen, most=_MOST_KEPT)


def _key(sha256: str) -> str:
    return f"{sha256} {__version__} {PIL.__version__} {_FORM}"


def draw_sketch(photo: OpenedPhoto) -> bytes:
    """The photo as `SKETCH_SIDE` × `SKETCH_SIDE` × 3 bytes; each is the mean of its part of the picture."""
    return photo.resize((SKETCH_SIDE, SKETCH_SIDE), Image.Resampling.BOX).tobytes()


def read_sketches(texts: Sequence[str]) -> NDArray[np.uint8]:
    """Sketches (N, SKETCH_SIDE, SKETCH_SIDE, 3) from their base64 texts."""
    joined = b"".join(map(base64.b64decode, texts))
    return np.frombuffer(joined, np.uint8).reshape(len(texts), SKETCH_SIDE, SKETCH_SIDE, 3)


def inspect_files(
    paths: Sequence[Path | str], *, workers: int | None = None, load_truncated: bool = False, seen: Path | None = None
) -> Generator[tuple[int, FileFacts], None, None]:
    """Each position in `paths`, whose names are valid text, with its facts as they become known, in any order.

    `workers` are processes; 0 decodes in this one, None chooses by the cores and the number of files. `seen` is as of
    `inspect_file`.

    Raises:
        ResourceError: no process can be started.
    """
    if workers is None:
        workers = min(available_cores(), -(-len(paths) // _FILES_PER_WORKER))
    if workers == 0 or not paths:
        yield from (
            (position, inspect_file(Path(path), load_truncated=load_truncated, seen=seen))
            for position, path in enumerate(paths)
        )
        return
    there, gone = list[tuple[int, Path | str]](), list[int]()
    for position, path in enumerate(paths):
        if _is_gone(path):
            gone.append(position)
        else:
            there.append((position, path))
    decoders = _Decoders(min(workers, len(paths)), load_truncated=load_truncated, seen=seen)
    together = min(_TOGETHER, 1 + len(there) // (_ROUNDS * workers))
    try:
        yield from decoders.threads.imap_unordered(decoders.inspect, there, chunksize=together)
    except OSError as error:
        raise ResourceError(f"cannot decode photos in another process: {error}") from error
    finally:  # also when the caller stops early, by Ctrl-C for example
        decoders.close()
    yield from ((position, FileFacts(reason=NOT_THERE, is_image=False)) for position in gone)


def _is_gone(path: Path | str) -> bool:
    """Whether nothing is at `path`, by one call: a table may list a million files that are not there."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        return True
    except (OSError, ValueError):  # who opens it says why
        return False
    return False


class _Decoders:
    """Threads that ask a process each; one that dies is replaced, and a file at which `_DEATHS` died is reported."""

    def __init__(self, count: int, *, load_truncated: bool, seen: Path | None) -> None:
        self._load_truncated, self._seen = load_truncated, None if seen is None else str(seen)
        self.threads, self._local = ThreadPool(count), threading.local()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._closed = False

    def close(self) -> None:
        self._closed = True
        for process in self._processes:
            process.kill()  # whoever waits for its answer sees the end of the file
        self.threads.terminate()
        self.threads.join()
        for process in self._processes:
            end_child(process)

    def inspect(self, item: tuple[int, Path | str]) -> tuple[int, FileFacts]:
        """A position and the facts of the file there."""
        position, path = item
        for _ in range(_DEATHS):
            answer = b"" if self._closed else self._ask(path)
            if answer.endswith(b"\n"):
                return position, FileFacts(**json.loads(answer))
        return position, FileFacts(reason=CRASHED)

    def _ask(self, path: Path | str) -> bytes:
        """The answer of this thread's process; without the end of its line where the process died."""
        process, answer = getattr(self._local, "process", None) or self._start(), b""
        if process.stdin and process.stdout:
            with suppress(OSError):  # the pipe is gone
                say(process.stdin, [str(path), self._load_truncated, self._seen])
                answer = process.stdout.readline()
        if not answer.endswith(b"\n"):
            self._local.process = None
            end_child(process)
        return answer

    def _start(self) -> "subprocess.Popen[bytes]":
        process = self._local.process = _start_process()
        self._processes.append(process)
        if self._closed:  # while it started, so that `close` did not see it
            process.kill()
        return process


def _start_process() -> "subprocess.Popen[bytes]":
    for _ in range(_STARTS):
        process = start_child("pcn_cli.data.scan.decode")
        if process.stdout and process.stdout.readline() == _READY:
            return process
        end_child(process)
    raise OSError(f"{sys.executable} ended at once")


def answer() -> None:
    """Answer path after path until the other side closes; runs in the process that decodes."""
    # Ctrl-C reaches the whole process group; the command decides when we end, by closing our input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Whatever a library prints must not get between our answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    answers.write(_READY)
    answers.flush()
    for line in sys.stdin:
        path, load_truncated, seen = json.loads(line)
        facts = inspect_file(Path(path), load_truncated=load_truncated, seen=seen and Path(seen))
        say(answers, asdict(facts))
