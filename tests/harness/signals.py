"""Every signal that stops, at random moments of every command: right exit code, within 5 s, nothing lost, no orphan.

python tests/harness/signals.py --trials 110     # outside of finetune, and 20 more inside with --finetune 20
python tests/harness/signals.py --trials 72 --only embed export serve    # of the commands that these words begin

The moments of a command's trials are drawn from its first, second and last third in turn.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from forked import TUNE, Ended, hash_of, leftovers, make_photos, make_weights, print_table, results, run, told_seed

SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1")
SECONDS = 5.0
LONGEST = 12.0  # of a demo, which then goes the way of finetune, and of a page that is served until it is stopped
THIRDS = 3


class _Dripping(BaseHTTPRequestHandler):
    """Sends a file of 110 MB, a megabyte at a time, so that a download takes a while."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(110 * 2**20))
        self.end_headers()
        try:
            for number in range(110):
                self.wfile.write((b"" if number else b"PK\x03\x04").ljust(2**20, b"\0"))
                threading.Event().wait(0.05)
        except OSError:
            pass

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def dripping_server() -> Iterator[str]:
    """The address of a slow server on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Dripping)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def prepare(folder: Path) -> None:
    """A finished run, small and large photos with boxes, and a weight file."""
    make_photos(folder / "photos")
    make_photos(folder / "large", each=4, width=1500, height=1200)
    for photos in ("photos", "large"):
        boxes = [f"{file.relative_to(folder / photos)},4,4,39,35" for file in sorted((folder / photos).rglob("*.jpg"))]
        (folder / f"{photos}.csv").write_text("\n".join(["file,xmin,ymin,xmax,ymax", *boxes]) + "\n")
    make_weights(folder / "tiny.safetensors")
    make_weights(folder / "s60.pth", embed_dim=384, depth=60, num_classes=1000)
    made = run(["finetune", "photos", "--model", "tiny.safetensors", "--output", "run", *TUNE], folder)
    assert made.code == 0, (made.code, made.err)


def copy_run(folder: Path, name: str) -> None:
    """Put a copy of the run among the runs, the latest of them."""
    from pcn_cli.runs.rundir import RunDir, set_latest

    shutil.copytree(folder / "run", folder / "runs" / name)
    set_latest(RunDir(folder / "runs" / name), runs=folder / "runs")


def check_copy(name: str, ended: Ended, folder: Path, out: str) -> list[str]:
    """What is wrong with the copy of a run that was to be deleted or renamed."""
    places = [folder / "runs" / out, folder / "runs" / f"{out}-new"]
    left = [place for place in places if (place / "run.json").is_file()]
    wanted = results(folder / "run")
    lost = [f"{name}: {place} is not whole" for place in left if results(place) != wanted]
    if name == "runs rename" and len(left) != 1:
        lost.append(f"{name}: the run lies at {left}")
    if ended.code == 0 and (places[0].exists() or (name == "runs rm" and left)):
        lost.append(f"{name}: is still there")
    for place in places:
        shutil.rmtree(place, ignore_errors=True)
    return lost


def commands(address: str) -> dict[str, list[str]]:
    """The words of each command that is disturbed; OUT stands for a new place."""
    return {
        "predict": ["predict", "large", "--model", "run", "--json", "--overlay", "OUT"],
        "predict --sort-into": ["predict", "large", "--model", "run", "--csv", "--sort-into", "OUT"],
        "predict --crop-boxes": ["predict", "large", "--model", "run", "--csv", "--crop-boxes", "large.csv"],
        "predict --queue": ["predict", "large", "--model", "run", "--queue", "5", "--output", "OUT"],
        "embed": ["embed", "large", "--model", "run", "--output", "OUT.npz"],
        "export": ["export", "run", "--output", "OUT"],
        "serve": ["serve", "run"],
        "runs rm": ["runs", "rm", "OUT", "--yes"],
        "runs rename": ["runs", "rename", "OUT", "OUT-new"],
        "finetune --crop-boxes": [
            *("finetune", "photos", "--crop-boxes", "photos.csv", "--model", "tiny.safetensors", "--output", "OUT"),
            *TUNE,
        ],
        "evaluate": ["evaluate", "run"],
        "evaluate --images": ["evaluate", "run", "--images", "large", "--output", "OUT"],
        "report": ["report", "run"],
        "report --images": ["report", "run", "--images", "large", "--output", "OUT"],
        "inspect": ["inspect", "large", "--json"],
        "models import": ["models", "import", "s60.pth"],
        "models get": ["models", "get", "s60", "--mirror", address],
        "bench": ["bench", "--model", "tiny.safetensors", "--rounds", "2", "--batch-size", "4"],
        "demo": ["demo", "--output", "OUT"],
    }


def check(name: str, ended: Ended, number: int, folder: Path, before: str) -> list[str]:
    """What is wrong after a trial."""
    problems = []
    if ended.code not in (0, 128 + number):
        problems.append(f"{name}: code {ended.code} after {signal.Signals(number).name}: {ended.err[-300:]}")
    if ended.seconds > SECONDS and ended.code != 0:
        problems.append(f"{name}: ended {ended.seconds:.1f} s after the signal")
    if ended.code == 0 and ended.seconds > SECONDS:
        problems.append(f"{name}: went on for {ended.seconds:.1f} s after the signal")
    if ended.orphans:
        problems.append(f"{name}: {ended.orphans} processes outlived it")
    if not ended.is_clean:
        problems.append(f"{name}: said {ended.err[-600:]}")
    if before != hash_of(folder / "photos", folder / "large", folder / "run" / "model", folder / "s60.pth"):
        problems.append(f"{name}: photos or model changed")
    if found := leftovers(folder):
        problems.append(f"{name}: left {found}")
    return problems


def main() -> None:
    """Do the trials and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=110, help="Signals outside of finetune.")
    parser.add_argument("--finetune", type=int, default=0, help="Signals inside of finetune, each with a resume.")
    parser.add_argument("--only", nargs="+", default=[""], help="The beginnings of the commands that are tried.")
    parser.add_argument("--seed", type=int)
    asked = parser.parse_args()
    problems: list[str] = []
    rows: dict[str, list[Ended]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as name, told_seed(asked.seed) as rng, dripping_server() as address:
        folder = Path(name)
        prepare(folder)
        before = hash_of(folder / "photos", folder / "large", folder / "run" / "model", folder / "s60.pth")
        whole: dict[str, float] = {}
        every = {name: words for name, words in commands(address).items() if name.startswith(tuple(asked.only))}
        for trial in range(asked.trials):
            command = list(every)[trial % len(every)]
            words, out = [word.replace("OUT", f"out-{trial}") for word in every[command]], f"out-{trial}"
            copied = command in ("runs rm", "runs rename")
            os.environ["PCN_CACHE"] = str(folder / f"cache-{trial}")
            if command not in whole:
                if copied:
                    copy_run(folder, f"whole-{trial}")
                ends = {"number": signal.SIGTERM, "after": 4.0} if command == "serve" else {}
                plain = run([word.replace("OUT", f"whole-{trial}") for word in every[command]], folder, **ends)
                whole[command] = 4.0 if command in ("models get", "serve") else min(plain.seconds, LONGEST)
                assert plain.code == (128 + ends["number"] if ends else 0) or command == "models get", plain
                os.environ["PCN_CACHE"] = str(folder / f"cache-whole-{trial}")
            number = getattr(signal, SIGNALS[int(rng.integers(len(SIGNALS)))])
            if copied:
                copy_run(folder, out)
            third = trial // len(every) % THIRDS
            after = float(rng.uniform(third, third + 1) / THIRDS * 0.93 + 0.02) * whole[command]
            ended = run(words, folder, number=number, after=after)
            rows[command].append(ended)
            problems += check(command, ended, number, folder, before)
            problems += check_copy(command, ended, folder, out) if copied else []
            print(f"{trial + 1}: {command}, {len(problems)} problems so far", file=sys.stderr)
        for trial in range(asked.finetune):
            words = ["finetune", "photos", "--model", "tiny.safetensors", "--output", f"cut-{trial}", *TUNE]
            if "finetune" not in whole:
                whole["finetune"] = run([*words[:5], "whole-run", *words[6:]], folder).seconds
            number = getattr(signal, SIGNALS[int(rng.integers(len(SIGNALS)))])
            ended = run(words, folder, number=number, after=float(rng.uniform(0.02, 0.95) * whole["finetune"]))
            rows["finetune"].append(ended)
            problems += check("finetune", ended, number, folder, before)
            if (folder / f"cut-{trial}" / "recipe.yaml").is_file():
                on = run(["finetune", "--resume", f"cut-{trial}"], folder)
                kept, wanted = (results(folder / one) for one in (f"cut-{trial}", "whole-run"))
                if on.code or kept != wanted:
                    problems.append(f"finetune: resumed with code {on.code}, same model: {kept == wanted}")
        for words in (["evaluate", "run"], ["report", "run"], ["predict", "photos", "--model", "run"], ["runs"]):
            after = run(words, folder)
            if after.code:
                problems.append(f"in the end {words} gives {after.code}: {after.err[-300:]}")
    print_table(
        ("command", "signals", "done before it arrived", "slowest end (s)", "orphans"),
        [
            (
                name,
                len(found),
                sum(one.code == 0 for one in found),
                f"{max(one.seconds for one in found):.2f}",
                sum(one.orphans for one in found),
            )
            for name, found in rows.items()
        ],
    )
    print(f"\n{sum(map(len, rows.values()))} signals, {len(problems)} problems")
    for problem in problems:
        print(f"- {problem}")
    raise SystemExit(bool(problems))


if __name__ == "__main__":
    main()
