"""Commands in forked children of one parent that has everything imported, so that a trial costs what its work costs.

The harness scripts share this: they start a command, disturb it, and look at what is left.
"""

import atexit
import hashlib
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

if os.environ.get("OMP_NUM_THREADS") != "1":  # a fork of a process whose OpenMP had threads waits for them for ever
    os.environ["OMP_NUM_THREADS"] = "1"
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])

import numpy as np
import psutil
import torch
from PIL import Image
from safetensors.torch import save_file

from pcn_cli.cli.app import main
from pcn_cli.models.published import PatchConvNetSpec
from pcn_cli.stages.finetune import CHOOSING, MEASURING, REPORTING, SCANNING, TRAINING

CALM = ("--set", "train.probe_epochs=2", "--set", "explain.checks=4")
TUNE = ("--tune", "all", "--epochs", "3", "--batch-size", "8", "--size", "32", "--workers", "0", *CALM)
_STAGES = (SCANNING, CHOOSING, TRAINING, "calibrate", MEASURING, REPORTING, "draw photos")
_HEADING = re.compile(rf"(?:\d+/\d+ )?({'|'.join(_STAGES)})")


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended: its code as a shell gives it, what it said, and what of its children outlived it.

    `left` are folders with their sockets, which each process that hands over tensors makes among temporary files.
    """

    code: int
    seconds: float  # from the disturbance on, or from the start where there was none
    out: str
    err: str
    orphans: int
    left: tuple[str, ...] = ()

    @property
    def phase(self) -> str:
        """The stage it was in, by its last heading."""
        found = [line[1] for line in map(_HEADING.fullmatch, self.err.splitlines()) if line]
        return found[-1] if found else "begin"

    @property
    def is_clean(self) -> bool:
        """Whether nothing was said that a person could not read, and nothing was left among temporary files."""
        return (
            not self.left
            and "Traceback" not in self.err
            and "a bug of pcn" not in self.err
            and "Exception ignored" not in self.err
        )


def run(
    words: Sequence[object], cwd: Path, *, number: int = 0, after: float = 0.0, before: Callable[[], None] | None = None
) -> Ended:
    """Run `pcn words` in `cwd`, send it the signal `number` after so many seconds, and wait for its end.

    `before` is called in the child first; a child that does not end within 120 s is killed.
    """
    out, err, temporary = cwd / ".out", cwd / ".err", cwd / ".temporary"
    temporary.mkdir(exist_ok=True)
    out.unlink(missing_ok=True)
    err.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        _become(words, cwd, out, err, before)
    began = time.monotonic()
    if number:
        time.sleep(after)
        began = time.monotonic()
        with suppress(ProcessLookupError):
            os.kill(child, number)
    status, waited = None, 0.0
    while status is None and waited < 120:
        done, status = os.waitpid(child, os.WNOHANG)
        status = status if done else None
        waited = time.monotonic() - began
        time.sleep(0.005)
    seconds = time.monotonic() - began
    if status is None:
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status or 0)
    orphans = _end_orphans(child)
    left = list(temporary.glob("pymp-*"))
    for place in left:
        shutil.rmtree(place)
    texts = [path.read_text(errors="replace") if path.is_file() else "" for path in (out, err)]
    code, names = 128 - code if code < 0 else code, tuple(place.name for place in left)
    return Ended(code=code, seconds=seconds, out=texts[0], err=texts[1], orphans=orphans, left=names)


def _become(words: Sequence[object], cwd: Path, out: Path, err: Path, before: Callable[[], None] | None) -> None:
    """Be the command; never returns."""
    code = 1
    try:
        weakref.finalize._registry.clear()  # what the parent tidies up at its end
        os.setsid()
        os.chdir(cwd)
        tempfile.tempdir = str(cwd / ".temporary")
        for place, path in ((1, out), (2, err)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT, 0o644), place)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.argv = ["pcn", *map(str, words)]
        if before is not None:
            before()
        main()
    except SystemExit as left:
        code = int(left.code or 0)
    except KeyboardInterrupt:
        code = 130
    finally:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)  # it is done
        with suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
            atexit._run_exitfuncs()  # what a process of its own would do at its end
        os._exit(code)


def _end_orphans(session: int) -> int:
    """How many processes of a session outlived its leader by a second of computing or half a minute; they are ended.

    On a machine with much other work one that has only just been started takes longer to see that nobody asks it.
    """
    deadline, before, orphans = time.monotonic() + 30, dict[int, float](), set[int]()
    while left := list(_processes_of(session)):
        for process, seconds in left:
            if seconds - before.setdefault(process, seconds) > 1 or time.monotonic() > deadline:
                orphans.add(process)
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
        time.sleep(0.05)
    return len(orphans)


def _processes_of(session: int) -> Iterator[tuple[int, float]]:
    """The processes of a session that live, with the seconds that each has computed."""
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, psutil.Error):
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                spent = process.cpu_times()
                yield process.pid, spent.user + spent.system


def make_photos(folder: Path, *, classes: int = 3, each: int = 12, width: int = 56, height: int = 48) -> Path:
    """A folder of photos that can be told apart: noise tinted red, green or blue."""
    rng = np.random.default_rng(0)
    for channel in range(classes):
        place = folder / f"class {channel}"
        place.mkdir(parents=True)
        for number in range(each):
            pixels = rng.integers(0, 120, (height + number, width, 3), dtype=np.uint8)
            pixels[..., channel % 3] += 100
            Image.fromarray(pixels).save(place / f"{number:02}.jpg", quality=90)
    return folder


def make_weights(path: Path, *, embed_dim: int = 32, depth: int = 2, num_classes: int = 10) -> Path:
    """A weight file in the published layout: safetensors, or what torch saves where the name says so."""
    generator = torch.Generator().manual_seed(0)
    spec = PatchConvNetSpec(embed_dim=embed_dim, depth=depth, num_classes=num_classes)
    tensors = {name: 0.2 * torch.randn(shape, generator=generator) for name, shape in spec.shapes().items()}
    if path.suffix == ".pth":
        torch.save({"model": tensors}, path)
    else:
        save_file(tensors, path)
    return path


def hash_of(*paths: Path) -> str:
    """One hash of files and of all files in folders, with their names."""
    digest = hashlib.sha256()
    for path in paths:
        for file in sorted([path, *path.rglob("*")]):
            if file.is_file() and not file.name.startswith("."):
                digest.update(f"{file.relative_to(path.parent)}\0".encode() + file.read_bytes())
    return digest.hexdigest()


RESULTS = (
    "model/model.safetensors",
    "model/config.json",
    "predictions.csv",
    "metrics.json",
    "candidates.json",
    "validation.csv",
    "trust.json",
)


def results(run_folder: Path) -> str:
    """One hash of what a run came to: its model, its answers and its numbers."""
    return hash_of(*(run_folder / name for name in RESULTS))


def leftovers(folder: Path) -> list[str]:
    """Temporary files and folders that writers left behind."""
    hidden = [path for path in folder.rglob(".*") if ".part" in path.name or path.name.startswith(".crops-")]
    return [path.relative_to(folder).as_posix() for path in hidden]


@contextmanager
def told_seed(seed: int | None) -> Iterator[np.random.Generator]:
    """A generator from `seed`, or from a new one, which is printed so that the trial can be done again."""
    chosen = int.from_bytes(os.urandom(4)) if seed is None else seed
    print(f"seed {chosen}", file=sys.stderr)
    yield np.random.default_rng(chosen)


def print_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A Markdown table on standard output."""
    print(f"| {' | '.join(header)} |")
    print(f"|{'---|' * len(header)}")
    for row in rows:
        print(f"| {' | '.join(map(str, row))} |")
