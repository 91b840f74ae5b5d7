"""Processes that work together, forked from one that has imported everything; as a script it makes the fits of
test_ranks.py and leaves their ends in a folder.
"""

import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from standin import ColourBatches, Standin, make_config, make_teacher, run_fit, validate
from torch import nn

from pcn_cli.errors import PcnError, StoppedError
from pcn_cli.tensors.network import Batch
from pcn_cli.training import join
from pcn_cli.training import ranks as ranks_module
from pcn_cli.training.fit_config import FitConfig, Validation
from pcn_cli.training.join import joined_ranks
from pcn_cli.training.ranks import Ranks
from pcn_cli.training.stop import StopRequest

MIXED = {"mixup": 0.4, "cutmix": 0.3, "batch_size": 9, "micro_batch": 4, "epochs": 2, "class_weights": (1.0, 2.0, 0.5)}
PLAIN = {"batch_size": 8, "micro_batch": 8, "epochs": 2, "average_epochs": 2}


def fork_ranks(world: int, work: Callable[[], int]) -> list[int]:
    """The exit codes of `world` processes that do `work` together; minus the signal's number for a killed one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    children = []
    for rank in range(world):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world}
                os.environ.update({name: str(number) for name, number in places.items()})
                os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
                code = work()
            except SystemExit as error:
                code = int(error.code or 0)
            except (PcnError, StoppedError) as error:  # as the command line does
                code = error.exit_code
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        children.append(child)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


class Shares(ColourBatches):
    """Of each batch, the share of this process."""

    def __init__(self, ranks: Ranks, size: int, poisoned: int | None = None) -> None:
        super().__init__()
        self.ranks, self.batch_size = ranks, size
        if poisoned is not None:
            self.images[poisoned] = torch.nan

    def batches(self, epoch: int = 0, *, start: int = 0) -> Iterator[Batch]:
        for batch in super().batches(epoch, start=start):
            places = torch.from_numpy(self.ranks.share(len(batch.targets)))
            yield Batch(*(tensor[places] for tensor in batch[:3]))


def train(folder: Path, config: FitConfig, *, world: int, name: str, **ways: object) -> None:
    """A fit by `world` processes; what it came to is left in `folder`, in files that begin with `name`."""

    def work() -> int:
        torch.set_num_threads(1)
        notes: list[str] = []
        stop, drop, rank_memory = StopRequest(), ways.get("drop", 0.0), ways.get("memory", ())
        with joined_ranks() as ranks:
            model = Standin(drop=drop, norm=ways.get("norm", nn.GroupNorm), seed=ways.get("seed", 0) + ranks.rank)
            model.load_state_dict(ranks.tensors_from_lead(model.state_dict()))
            if rank_memory and ranks.rank == rank_memory[0]:
                model.largest_batch = rank_memory[1]
            batches, clean = Shares(ranks, config.batch_size, ways.get("poisoned")), ColourBatches()

            def check(learned: nn.Module) -> Validation:
                return Validation(**ranks.from_lead(vars(validate(learned, clean)) if ranks.leads else None))

            def on_step(step: int, *_: float) -> None:
                if step == ways.get("stop_at"):
                    stop.request()
                if (ranks.rank, step) == ways.get("killed"):
                    os.kill(os.getpid(), signal.SIGKILL)

            try:
                result = run_fit(
                    model,
                    batches,
                    ways.get("check", check),
                    config=config,
                    teacher=make_teacher() if config.teacher else None,
                    ranks=ranks,
                    stop=stop if ranks.leads else StopRequest(),
                    checkpoints=folder / ways["checkpoints"] if "checkpoints" in ways and ranks.leads else None,
                    on_note=notes.append,
                    on_step=on_step,
                )
            except (PcnError, StoppedError) as error:
                (folder / f"{name}-{ranks.rank}.json").write_text(json.dumps({"error": error.message}))
                raise
            tensors = {**model.state_dict(), **{f"best.{key}": one for key, one in result.best_state.items()}}
            torch.save({key: tensor.clone() for key, tensor in tensors.items()}, folder / f"{name}-{ranks.rank}.pt")
            losses = [row.train_loss for row in result.progress.history]
            seen = {"losses": losses, "notes": notes, "micro_batch": result.progress.micro_batch}
            (folder / f"{name}-{ranks.rank}.json").write_text(json.dumps(seen))
            assert ranks.leads or ranks.next_job() is None
        return 0

    codes = fork_ranks(world, work)
    (folder / f"{name}-codes.json").write_text(json.dumps(codes))


def explode(_: nn.Module) -> Validation:
    return Validation(log_loss=float("nan"), accuracy=0.0, macro_f1=0.0)


def exchange(folder: Path) -> None:
    """Arrays of several lengths and types, handed to rank 0 and by it."""

    def work() -> int:
        with joined_ranks() as ranks:
            own = np.arange(3 * ranks.rank, dtype=np.float16).reshape(-1, 3)
            whole = ranks.concatenate(own)
            sums = [torch.full((7_000_000,), ranks.rank + 1.0), torch.full((2, 3), 1.0).t(), torch.tensor([2.0])]
            ranks.sum_shares(sums, 0.5)
            told = ranks.from_lead({"é": [1.5, None]} if ranks.leads else None)
            named = {"a": torch.arange(4), "b": torch.ones(2, 3, dtype=torch.bfloat16), "c": torch.empty(0)}
            given = ranks.tensors_from_lead(named if ranks.leads else None)
            same = all(torch.equal(given[key], one) and given[key].dtype == one.dtype for key, one in named.items())
            facts = {
                "whole": None if whole is None else whole.tolist(),
                "sums": [float(sums[0].min()), float(sums[0].max()), sums[1].tolist(), float(sums[2])],
                "told": told,
                "same": same,
                "counts": [ranks.count(True, 2), ranks.count(ranks.rank != 1, 1)],
            }
            (folder / f"exchange-{ranks.rank}.json").write_text(json.dumps(facts))
            assert ranks.leads or ranks.next_job() is None
        return 0

    (folder / "exchange-codes.json").write_text(json.dumps(fork_ranks(3, work)))


def main(folder: Path) -> None:
    join.BEAT = ranks_module.BEAT = 0.2  # a second where nobody waits for it
    exchange(folder)
    mixed, plain = make_config(**MIXED), make_config(**PLAIN)
    for world in (1, 2, 3):
        train(folder, mixed, world=world, name=f"mixed{world}")
    taught = make_config(**MIXED, teacher="colours")
    for world in (1, 2):
        train(folder, taught, world=world, name=f"taught{world}")
    train(folder, plain, world=1, name="plain")
    train(folder, plain, world=2, name="memory", memory=(1, 1))
    train(folder, plain, world=2, name="poisoned", poisoned=4)
    train(folder, plain, world=2, name="exploded", check=explode)
    train(folder, plain, world=2, name="stopped", stop_at=2, checkpoints="kept")
    train(folder, plain, world=1, name="resumed", checkpoints="kept", seed=7)
    wild = make_config(**PLAIN, mixup=0.3)
    train(folder, wild, world=2, name="wild", drop=0.3)
    train(folder, wild, world=2, name="wild-stopped", drop=0.3, stop_at=4, checkpoints="wild")
    train(folder, wild, world=2, name="wild-resumed", drop=0.3, checkpoints="wild", seed=7)
    train(folder, plain, world=2, name="norms", norm=nn.BatchNorm2d)
    train(folder, plain, world=2, name="killed", killed=(1, 2))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
