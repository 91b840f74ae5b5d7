"""Our own code in a process of its own, which is asked and answers through pipes."""

import atexit
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import pcn_cli

# Its path of modules is ours, without the current folder: a folder of photos must not offer its own modules.
PROGRAM = "import sys; sys.path[:] = sys.argv[1:]; from MODULE import answer; answer()"


def start_child(module: str, *, new_session: bool = False) -> "subprocess.Popen[bytes]":
    """A process that calls `answer()` of `module`; with a `new_session` Ctrl-C does not reach it.

    Raises:
        OSError: no process can be started.
    """
    search_path = [*filter(None, sys.path), str(Path(pcn_cli.__file__).parents[1])]
    program = PROGRAM.replace("MODULE", module)
    process = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-P", "-c", program, *search_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=new_session,
    )
    atexit.register(process.kill)  # a thread that waits for it does not live to end it
    return process


@contextmanager
def child_pipes(module: str) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """A context in which a process calls `answer()` of `module`, with the pipe that it hears and the one that it says.

    Raises:
        OSError: no process can be started.
    """
    process = start_child(module, new_session=True)  # Ctrl-C is for us, who end it
    try:
        assert process.stdin is not None  # noqa: S101 - pipes, as asked for
        assert process.stdout is not None  # noqa: S101
        yield process.stdin, process.stdout
    finally:
        end_child(process)


def say(to: IO[bytes], words: object) -> None:
    """Write a line of JSON that the other side reads at once; a BrokenPipeError where it has ended."""
    to.write(json.dumps(words).encode("ascii") + b"\n")
    to.flush()


def hear(back: IO[bytes]) -> Any:  # noqa: ANN401 - whatever the other side says
    """What the next line of JSON holds; a BrokenPipeError where the other side has ended."""
    line = back.readline()
    if not line.endswith(b"\n"):
        raise BrokenPipeError
    return json.loads(line)


def hear_bytes(back: IO[bytes], count: int) -> bytes:
    """The next `count` bytes; a BrokenPipeError where the other side has ended before."""
    content = back.read(count)
    if len(content) < count:
        raise BrokenPipeError
    return content


def end_child(process: "subprocess.Popen[bytes]") -> None:
    """End the process, whatever it does, and close its pipes."""
    with suppress(OSError), process:  # what was still to be written has no reader any more
        process.kill()
    atexit.unregister(process.kill)
