"""A full disk at every write: exit code 6 in words, nothing damaged, and what goes on afterwards gives the same bits.

python tests/harness/disk.py --trials 40            # the n-th write of a training fails, and all after it
python tests/harness/disk.py --sizes 12             # on disks of so many sizes (root; Linux)
"""

import argparse
import atexit
import errno
import os
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from forked import TUNE, Ended, leftovers, make_photos, make_weights, print_table, results, run

from pcn_cli.files import atomic


def failing_from(number: int, counter: Path) -> Callable[[], None]:
    """What makes every write from the `number`-th on fail in a child, and leaves in `counter` how many there were."""

    def prepare() -> None:
        done = 0
        write, sync = Path.write_bytes, os.fsync

        def step() -> None:
            nonlocal done
            done += 1
            if done >= number:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def write_bytes(path: Path, content: bytes) -> int:
            if path != counter:
                step()
            return write(path, content)

        def fsync(descriptor: int) -> None:
            step()
            sync(descriptor)

        Path.write_bytes = write_bytes  # type: ignore[method-assign,assignment]
        atomic.os.fsync = fsync  # type: ignore[assignment]
        atexit.register(lambda: write(counter, str(done).encode()))

    return prepare


def judge(ended: Ended, place: Path, again: Ended, wanted: str) -> list[str]:
    """What is wrong with a trial and with what was done after it."""
    problems = []
    if ended.code not in (0, 6) or not ended.is_clean:
        problems.append(f"{place.name}: code {ended.code}: {ended.err[-400:]}")
    if ended.code == 6 and "the disk is full" not in ended.err and "MB free" not in ended.err:
        problems.append(f"{place.name}: says {ended.err[-300:]}")
    if again.code or results(place) != wanted or leftovers(place):
        problems.append(f"{place.name}: then code {again.code}, left {leftovers(place)}: {again.err[-300:]}")
    return problems


def main() -> None:
    """Do the trials and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=0, help="At how many of the writes of a training.")
    parser.add_argument("--sizes", type=int, default=0, help="On disks of how many sizes, from 0.05 MB on.")
    parser.add_argument("--others", type=int, default=0, help="At how many of the writes of evaluate and of report.")
    asked = parser.parse_args()
    problems: list[str] = []
    rows: Counter[tuple[str, str, int]] = Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_photos(folder / "photos")
        make_weights(folder / "tiny.safetensors")
        words = ["finetune", "photos", "--model", "tiny.safetensors", *TUNE]
        counter = folder / "count"
        assert run([*words, "--output", "whole"], folder, before=failing_from(10**9, counter)).code == 0
        wanted, most = results(folder / "whole"), int(counter.read_text())
        for number in np.unique(np.linspace(1, most, asked.trials).astype(int)) if asked.trials else ():
            place = folder / f"cut-{number}"
            again = [*words, "--output", place.name, "--resume", "auto"]
            ended = run(again, folder, before=failing_from(int(number), counter))
            rows["a write of finetune", ended.phase, ended.code] += 1
            problems += judge(ended, place, run(again, folder) if ended.code else ended, wanted)
        for command in ("evaluate", "report") if asked.others else ():
            run([command, "whole"], folder, before=failing_from(10**9, counter))
            most = int(counter.read_text())
            for number in np.unique(np.linspace(1, most, asked.others).astype(int)):
                ended = run([command, "whole"], folder, before=failing_from(int(number), counter))
                rows[f"a write of {command}", "", ended.code] += 1
                problems += judge(ended, folder / "whole", run([command, "whole"], folder), wanted)
        for size in np.geomspace(0.05, 8, asked.sizes) if asked.sizes else ():
            disk = folder / f"disk-{size:.4f}"
            disk.mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={int(size * 2**20)}", "tmpfs", disk], check=True)
            try:
                again = [*words, "--output", disk / "run", "--resume", "auto"]
                ended = run(again, folder)
                rows["a disk of some size", ended.phase, ended.code] += 1
                subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
                problems += judge(ended, disk / "run", run(again, folder) if ended.code else ended, wanted)
            finally:
                subprocess.run(["umount", disk], check=True)
    print_table(("full at", "in", "code", "trials"), [(*key, count) for key, count in sorted(rows.items())])
    print(f"\n{sum(rows.values())} full disks, {len(problems)} problems")
    for problem in problems:
        print(f"- {problem}")
    raise SystemExit(bool(problems))


if __name__ == "__main__":
    main()
