"""A run by one process, and by two that were forked together; as a script it makes those of test_ranked_runs.py."""

import json
import os
import signal
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))

from forked_ranks import fork_ranks

import pcn_cli
from pcn_cli.errors import PcnError, StoppedError
from pcn_cli.records.run import EpochRow
from pcn_cli.stages.callback import Callback
from pcn_cli.training import join, ranks

SETTINGS = (
    *("train.precision=float32", "train.mixup=0.2", "evaluate.batch_size=2", "explain.checks=0", "explain.overlays=0"),
    "report.thumbnail=64",
    "train.token_cache=0",  # each computes its own
    *("train.teacher=nano", "train.teacher_size=64"),
)


class Notes(Callback):
    """Keeps what is noted."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def on_note(self, text: str) -> None:
        self.notes.append(text)


class KilledAfterAnEpoch(Notes):
    """Kills the other process once it has helped with an epoch."""

    def __init__(self, other: Path) -> None:
        super().__init__()
        self.other = other

    def on_epoch(self, row: EpochRow, epochs: int) -> None:
        os.kill(int(self.other.read_text()), signal.SIGKILL)


class StoppedBehindTraining(Notes):
    """Stops where nothing is left but to evaluate."""

    def on_stage(self, title: str) -> None:
        if title == "evaluate and explain":
            raise StoppedError("stopped")


def run(folder: Path, name: str, *, world: int, kill: bool = False, stop: bool = False, **options: object) -> None:
    """A run, or what an error said of it, in `folder`; the notes beside it."""

    def work() -> int:
        torch.set_num_threads(1)
        pid, helps = folder / f"{name}.pid", os.environ.get("RANK") == "1"
        if helps:
            pid.write_text(str(os.getpid()))
        callback = KilledAfterAnEpoch(pid) if kill else StoppedBehindTraining() if stop else Notes()
        told: dict[str, object] = {}
        try:
            told["run"] = str(pcn_cli.finetune(callback=callback, **options).run)
        except PcnError as error:
            told.update(error=error.message, hint=error.hint)
            return error.exit_code
        finally:
            rank = os.environ.get("RANK", "0")
            (folder / f"{name}-{rank}.json").write_text(json.dumps({**told, "notes": callback.notes}))
        return 0

    (folder / f"{name}-codes.json").write_text(json.dumps(fork_ranks(world, work)))


def main(photos: Path, folder: Path) -> None:
    join.BEAT = ranks.BEAT = 0.2
    new = {
        "photos": photos, "model": "nano", "tune": "all", "epochs": 2, "batch_size": 9, "size": 32, "device": "cpu",
        "settings": SETTINGS, "keep_checkpoints": True,
    }  # fmt: skip
    run(folder, "one", world=1, output=folder / "one", **new)
    run(folder, "two", world=2, output=folder / "two", **new)
    run(folder, "cut", world=2, kill=True, output=folder / "cut", **new)
    run(folder, "on", world=1, stop=True, resume=folder / "cut")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
