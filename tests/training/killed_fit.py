"""Fits in forked processes that are killed at random times until one ends; prints the hashes of all ends as JSON."""

import hashlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import safetensors.torch
import torch
from standin import ColourBatches, Standin, make_config, run_fit
from torch import nn

from pcn_cli.training.checkpoint import load_checkpoint


def train(folder: Path) -> None:
    torch.set_num_threads(1)
    batches = ColourBatches()
    config = make_config(mixup=0.4, micro_batch=3, epochs=5, checkpoint_minutes=1e-9)  # a checkpoint after every step
    model = Standin(drop=0.3, norm=nn.BatchNorm2d)
    run_fit(model, batches, config=config, checkpoints=folder)


def start(folder: Path) -> int:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            train(folder)
            status = 0
        finally:
            os._exit(status)
    return child


def hash_of(folder: Path) -> str:
    state = load_checkpoint(folder)
    assert state is not None
    assert state.progress.finished
    digest = hashlib.sha256()
    for tensors in (state.model, state.ema, state.optimizer, state.best):
        digest.update(safetensors.torch.save(tensors))
    times = ("seconds", "images_per_second", "memory_mb")
    rows = [{k: v for k, v in vars(row).items() if k not in times} for row in state.progress.history]
    digest.update(repr((state.random, rows)).encode())
    return digest.hexdigest()


def main(folder: Path, seed: int, trials: int) -> None:
    rng, kills, ends = random.Random(seed), 0, []
    began = time.monotonic()
    os.waitpid(start(folder / "whole"), 0)
    whole = time.monotonic() - began
    for trial in range(trials):
        place = folder / str(trial)
        for attempt in range(50):
            child = start(place)
            if attempt < 3:
                time.sleep(rng.uniform(0.05, 0.8) * whole)
                os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            kills += os.WIFSIGNALED(status)
            if status == 0:
                break
        ends.append(hash_of(place))
    print(json.dumps({"uninterrupted": hash_of(folder / "whole"), "ends": ends, "kills": kills}))  # noqa: T201 - read by the test


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
