"""What a run costs that begins with another one: whole runs by processor time, in turns; a table in RESULTS.md.

    python tests/benchmarks/grow.py PHOTOS NETWORK [--share 0.8] [--rounds 3] [--set KEY=VALUE]

PHOTOS has a folder for each class. The first run has a share of each; then, in each round, a fresh run of all photos
with empty caches and one of all photos that begins with the first run, each time with the caches that this left. The
clock's seconds, in brackets, hang on what else the machine does. What is set counts for runs that begin with a
NETWORK: with `--set model.pretrained=false` they cost what they cost with published weights.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np


def main() -> None:
    """Read the command line and print a row for each run, then the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("network")
    parser.add_argument("--share", type=float, default=0.8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--set", dest="settings", action="append", default=[])
    arguments = parser.parse_args()
    new = [arguments.network, *(word for setting in arguments.settings for word in ("--set", setting))]
    with TemporaryDirectory() as name:
        folder = Path(name)
        some, every = (folder / part / arguments.photos.name for part in ("some", "every"))
        count = copy_photos(arguments.photos, some, every, share=arguments.share)
        print(f"{count[0]:,} photos, then {count[1]:,}; {arguments.network}", flush=True)
        first, kept = folder / "first", folder / "kept"
        print(f"| first | {measure(some, first, new, cache=kept)} |", flush=True)
        costs: dict[str, list[Cost]] = {"fresh": [], "grown": []}
        for number in range(arguments.rounds):
            cache = folder / f"cache-{number}"
            shutil.copytree(kept, cache)
            for way, start, own in (("fresh", new, folder / f"none-{number}"), ("grown", [first], cache)):
                run = folder / f"{way}-{number}"
                costs[way].append(measure(every, run, start, cache=own))
                print(f"| {way} | {costs[way][-1]} | {tell_stages(run)} |", flush=True)
                shutil.rmtree(own, ignore_errors=True)
        print(json.loads((folder / "grown-0" / "change.json").read_text())["sentence"])
        fresh, grown = (statistics.median(one.processor for one in costs[way]) for way in ("fresh", "grown"))
        pairs = zip(costs["grown"], costs["fresh"], strict=True)
        ratio = statistics.median(one.processor / other.processor for one, other in pairs)
        print(f"medians of {arguments.rounds}: {fresh:.1f} s, {grown:.1f} s; {ratio:.0%}")


def copy_photos(photos: Path, some: Path, every: Path, *, share: float) -> tuple[int, int]:
    """Copy all photos, and a share of each class; how many there are of both."""
    counts = [0, 0]
    for label in sorted(path for path in photos.iterdir() if path.is_dir()):
        files = sorted(path for path in label.iterdir() if path.is_file())
        chosen = np.random.default_rng(0).permutation(len(files))[: round(share * len(files))].tolist()
        for number, (target, places) in enumerate(((some, chosen), (every, range(len(files))))):
            (target / label.name).mkdir(parents=True)
            for place in places:
                shutil.copy(files[place], target / label.name)
            counts[number] += len(places)
    return counts[0], counts[1]


class Cost(NamedTuple):
    """The processor's seconds, of the system too, of a run with all its processes, and the wall clock's."""

    processor: float
    wall: float

    def __str__(self) -> str:
        return f"{self.processor:.1f} s ({self.wall:.0f} s)"


def measure(photos: Path, run: Path, model: Sequence[str | Path], *, cache: Path) -> Cost:
    """What a whole run costs that begins with a `model`, with further options behind it."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    program = [sys.executable, "-m", "pcn_cli", "-q", "finetune", photos, "--output", run, "--model", *model]
    environment = os.environ | {"PCN_CACHE": str(cache)}
    subprocess.run(list(map(str, program)), check=True, stdout=subprocess.DEVNULL, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(used, time.monotonic() - began)


def tell_stages(run: Path) -> str:
    """The wall clock's seconds of each stage, as the run has them."""
    stages = json.loads((run / "run.json").read_text())["stages"]
    return ", ".join(f"{name} {facts['seconds']:.0f}" for name, facts in stages.items())


if __name__ == "__main__":
    main()
