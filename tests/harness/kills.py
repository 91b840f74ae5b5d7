"""SIGKILL at random moments: of finetune in every phase, of evaluate and of report; taken up again to the same bits.

With --workers also of the processes that load photos: finetune replaces them and ends with the same bits by itself.

python tests/harness/kills.py --runs 25 --kills 2 --others 10 --workers 50
"""

import argparse
import os
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
from forked import TUNE, leftovers, make_photos, make_weights, print_table, results, run, told_seed
from trials import meanwhile


def main() -> None:
    """Do the trials and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=25, help="Trainings.")
    parser.add_argument("--kills", type=int, default=2, help="Most kills of each.")
    parser.add_argument("--others", type=int, default=10, help="Kills of evaluate, and of report.")
    parser.add_argument("--workers", type=int, default=0, help="Kills of processes that load photos.")
    parser.add_argument("--seed", type=int)
    asked = parser.parse_args()
    phases: Counter[str] = Counter()
    lost, orphans, problems = 0, 0, list[str]()
    with tempfile.TemporaryDirectory() as name, told_seed(asked.seed) as rng:
        folder = Path(name)
        make_photos(folder / "photos")
        make_weights(folder / "tiny.safetensors")
        words = ["finetune", "photos", "--model", "tiny.safetensors", *TUNE]
        whole = run([*words, "--output", "whole"], folder)
        assert whole.code == 0, whole.err
        wanted = results(folder / "whole")
        for trial in range(asked.runs):
            place = f"cut-{trial}"
            again = [*words, "--output", place, "--resume", "auto"]
            for _ in range(asked.kills):
                cut = run(again, folder, number=signal.SIGKILL, after=float(rng.uniform(0.02, 0.98) * whole.seconds))
                if cut.code == 0:
                    break
                phases[f"finetune: {cut.phase}"] += 1
                orphans += cut.orphans
            ended = run(again, folder) if cut.code else cut
            if ended.code or results(folder / place) != wanted or leftovers(folder / place):
                lost += 1
                problems.append(f"{place}: code {ended.code}, left {leftovers(folder / place)}: {ended.err[-300:]}")
        for command in ("evaluate", "report"):
            plain = run([command, "whole"], folder)
            for _ in range(asked.others):
                cut = run([command, "whole"], folder, number=signal.SIGKILL, after=float(rng.uniform(0, plain.seconds)))
                phases[command] += bool(cut.code)
                orphans += cut.orphans
                ended = run([command, "whole"], folder)
                if ended.code or results(folder / "whole") != wanted:
                    lost += 1
                    problems.append(f"{command}: code {ended.code}: {ended.err[-300:]}")
        while phases["workers"] < asked.workers and not problems:
            place = f"worked-{phases['workers']}"
            with killing_workers(rng) as killed:
                ended = run([*words, "--workers", "2", "--output", place], folder)
            phases["workers"] += len(killed)
            orphans += ended.orphans
            if ended.code or results(folder / place) != wanted or leftovers(folder / place) or ended.left:
                lost += 1
                words = f"{len(killed)} workers killed, code {ended.code}, left {ended.left}: {ended.err[-300:]}"
                problems.append(f"{place}: {words}")
    print_table(("killed in", "kills"), sorted(phases.items()))
    print(f"\n{sum(phases.values())} kills, {lost} lost, {orphans} orphans")
    for problem in problems:
        print(f"- {problem}")
    raise SystemExit(bool(problems or orphans))


@contextmanager
def killing_workers(rng: np.random.Generator) -> Iterator[list[int]]:
    """Meanwhile two processes that a command started are killed; their numbers. A third death at one batch ends it."""
    killed = list[int]()

    def strike() -> None:
        below = psutil.Process().children(recursive=True)
        workers = [process for process in below if process.ppid() != os.getpid()]
        if workers and len(killed) < 2:
            chosen = workers[rng.integers(len(workers))]
            chosen.kill()
            killed.append(chosen.pid)

    with meanwhile(strike, pause=lambda: float(rng.uniform(0.1, 2))):
        yield killed


if __name__ == "__main__":
    main()
