"""Our own code in a process of its own, which is asked and answers through pipes."""

import atexit
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

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


def end_child(process: "subprocess.Popen[bytes]") -> None:
    """End the process, whatever it does, and close its pipes."""
    with suppress(OSError), process:  # what was still to be written has no reader any more
        process.kill()
    atexit.unregister(process.kill)
