"""One command of pcn in a forked process: what it said, how it ended, what time and memory it took.

The parent has imported everything, so a trial costs what the command itself does.
"""

import gc
import os
import resource
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True, kw_only=True)
class Trial:
    """How a process ended: its exit code (below 0: the signal that killed it), seconds of computing, memory, words.

    `together_mb` is what it held at once with the processes that it had started, as far as it was seen every 20 ms;
    what they have in common counts once.
    """

    code: int
    seconds: float
    memory_mb: float
    together_mb: float = 0.0
    stdout: str = ""
    stderr: str = ""


def run_pcn(*words: str | Path, folder: Path, limit: float = 60) -> Trial:
    """What `pcn words` does in `folder`."""

    def work() -> None:
        from pcn_cli.cli.app import main

        os.chdir(folder)
        sys.argv = ["pcn", *map(os.fspath, words)]
        main()

    return run_forked(work, limit=limit)


def run_forked(work: Callable[[], object], *, limit: float = 60) -> Trial:
    """What `work` does in a forked process, which is killed after `limit` seconds.

    Seconds of computing are counted with those of the processes that it started; the memory is the largest of one.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if child == 0:
            _become(work, out.fileno(), err.fileno())
        timer = threading.Timer(limit, os.kill, (child, signal.SIGKILL))
        timer.start()
        with watching(child) as together:
            _, status, usage = os.wait4(child, 0)
        timer.cancel()
        return Trial(
            code=os.waitstatus_to_exitcode(status),
            seconds=usage.ru_utime + usage.ru_stime,
            memory_mb=usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6,
            together_mb=max(together),
            stdout=_read(out.fileno()),
            stderr=_read(err.fileno()),
        )


@contextmanager
def watching(process: int) -> Iterator[list[float]]:
    """The megabytes that a process and those that it started hold together, again and again until the block ends."""
    held = [0.0]

    def look() -> None:
        first = psutil.Process(process)
        held.append(_hold_together([first, *first.children(recursive=True)]) / 1e6)

    with meanwhile(look, pause=lambda: 0.02):
        yield held


def _hold_together(processes: Sequence[psutil.Process]) -> int:
    """The bytes that processes hold, where what several have in common counts once, as the largest that one shares."""
    facts = [one.memory_full_info() for one in processes]
    return sum(one.uss for one in facts) + max(one.rss - one.uss for one in facts)


@contextmanager
def meanwhile(act: Callable[[], object], *, pause: Callable[[], float]) -> Iterator[None]:
    """Until the block ends `act` is called after every pause, in seconds; processes that it looks for may be gone."""
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(pause()):
            with suppress(psutil.Error):
                act()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _become(work: Callable[[], object], out: int, err: int) -> None:
    """Do the work with our own streams and leave without what the parent has registered for its end."""
    code = 1
    try:
        os.dup2(out, 1)
        os.dup2(err, 2)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", encoding="utf-8") for number in (1, 2))
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115, PTH123 - the process ends with it
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        work()
        code = 0
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else 1
    except BaseException:  # noqa: BLE001 - it goes to the trial, not to the parent
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)


def _read(descriptor: int) -> str:
    os.lseek(descriptor, 0, os.SEEK_SET)
    with os.fdopen(os.dup(descriptor), "rb") as file:
        return file.read().decode("utf-8", "replace")


def preload() -> None:
    """Import what the commands import, and compute on one thread: a forked process has no others."""
    os.environ.update(OMP_NUM_THREADS="1", PCN_OFFLINE="1", COLUMNS="300")
    import torch

    torch.set_num_threads(1)
    import pcn_cli.cli.app
    import pcn_cli.stages.finetune
    import pcn_cli.stages.inspect
    import pcn_cli.stages.models
    import pcn_cli.stages.predict  # noqa: F401

    gc.freeze()  # as `pcn` does once it has imported


def percentile(values: Iterable[float], share: float) -> float:
    """The value below which that share of `values` lies."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
