"""Decoding many files at once, in worker processes that may die without taking the command along."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue

import pcn_cli
from pcn_cli.data.scan.decode_worker import READY, FileFacts, inspect_file
from pcn_cli.errors import ResourceError

CRASHED = "the decoder crashed on this file"
_FILES_PER_WORKER = 32  # fewer than this do not pay for starting another process


def inspect_files(paths: Sequence[Path], *, workers: int | None = None) -> Generator[tuple[int, FileFacts], None, None]:
    """Each position in `paths` with its facts, as they become known (in any order, each exactly once).

    Args:
        paths: files whose names are valid text.
        workers: processes; 0 decodes in this one, None chooses by the cores and the number of files.

    Raises:
        ResourceError: no process can be started.
    """
    if workers is None:
        workers = min(count_cores(), -(-len(paths) // _FILES_PER_WORKER))
    if workers == 0 or not paths:
        yield from ((position, inspect_file(path)) for position, path in enumerate(paths))
        return
    todo = iter(list(enumerate(paths)))
    crew = [_Worker(todo) for _ in range(min(workers, len(paths)))]
    results: SimpleQueue[tuple[int, FileFacts] | BaseException] = SimpleQueue()
    threads = [threading.Thread(target=worker.run, args=(results,), daemon=True) for worker in crew]
    try:
        for thread in threads:
            thread.start()
        for _ in paths:
            result = results.get()
            if isinstance(result, BaseException):
                raise ResourceError(f"cannot decode photos in another process: {result}") from result
            yield result
    finally:  # also when the caller stops early, by Ctrl-C for example
        for worker in crew:
            worker.stop()
        for thread in threads:
            if thread.ident is not None:
                thread.join()


def count_cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Worker:
    """One process and the thread that feeds it; a process that dies is replaced, its file is reported."""

    def __init__(self, todo: Iterator[tuple[int, Path]]) -> None:
        self._todo = todo
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._stopped = False

    def run(self, results: "SimpleQueue[tuple[int, FileFacts] | BaseException]") -> None:
        try:
            # A list's iterator gives each item to one thread only.
            for position, path in self._todo:
                if self._stopped:
                    break
                results.put((position, self._ask(path)))
        except BaseException as error:  # noqa: BLE001 - handed to the waiting thread, which raises it
            results.put(error)
        finally:
            self.stop()

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            self._end_process()

    def _ask(self, path: Path) -> FileFacts:
        process = self._running_process()
        if process is None or process.stdin is None or process.stdout is None:
            return FileFacts(reason=CRASHED)
        try:
            process.stdin.write(json.dumps(str(path)).encode("ascii") + b"\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        except (OSError, ValueError):  # the pipe is gone: the process died, or `stop` closed it
            answer = b""
        if answer.endswith(b"\n"):
            return FileFacts(**json.loads(answer))
        with self._lock:
            self._end_process()
        return FileFacts(reason=CRASHED)

    def _running_process(self) -> "subprocess.Popen[bytes] | None":
        with self._lock:
            if self._process is None and not self._stopped:
                self._process = _start_process()
            return self._process

    def _end_process(self) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        _end(process)


def _start_process() -> "subprocess.Popen[bytes]":
    package_folder = str(Path(pcn_cli.__file__).parents[1])
    search_path = os.pathsep.join(filter(None, (package_folder, os.environ.get("PYTHONPATH"))))
    process = subprocess.Popen(
        # -P: a photos folder that is the current folder must not offer its own modules.
        [sys.executable, "-P", "-m", "pcn_cli.data.scan.decode_worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": search_path},
    )
    if process.stdout is None or process.stdout.readline() != READY:
        _end(process)
        raise OSError(f"{sys.executable} ended at once")
    return process


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):  # what was still to be written has no reader any more
                pipe.close()
