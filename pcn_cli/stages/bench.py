"""Bench: how fast this machine decodes, answers, explains and trains, piece by piece on made-up pictures.

Weights do not change the time, so none are needed: networks are drawn at random, each for ten classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray

from pcn_cli.models.sources import find_source
from pcn_cli.recipe.arguments import checked
from pcn_cli.recipe.schema import Count
from pcn_cli.records.model import Preprocessing
from pcn_cli.stages.bench_works import CLASSES, FORWARD, list_works
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.inference.load import model_source
from pcn_cli.training.cost import measure_cost, time_in_turns
from pcn_cli.training.device import choose_device, explain_memory, memory_mb


@dataclass(frozen=True, kw_only=True)
class Timing:
    """What one piece of work takes: photos per second in the median of the rounds.

    `ratio` is its time per photo over that of the plain forward pass in the same round: the median, with the lowest
    and the highest of the rounds.
    """

    work: str
    photos_per_second: float
    ratio: float
    ratio_low: float
    ratio_high: float


@dataclass(frozen=True, kw_only=True)
class ModelBench:
    """One network's timings at its input size; `activation_mb` is kept of each photo in a float32 step of tuning."""

    model: str
    input_size: int
    parameters: int
    activation_mb: float
    timings: tuple[Timing, ...]


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What was measured, and on what; `memory_mb` is the largest memory that was used up to the end."""

    device: str
    threads: int
    batch_size: int
    rounds: int
    memory_mb: float
    models: tuple[ModelBench, ...]


@checked
def bench(
    models: Sequence[str] = ("nano",),
    *,
    batch_size: Count = 32,
    rounds: Count = 5,
    device: str | None = None,
    callback: Callback | None = None,
) -> Bench:
    """How fast this machine is with each of `models`; nothing is downloaded or written.

    Args:
        models: cards, timm backbones, runs, model folders or weight files.
        batch_size: photos per forward pass and per training step.
        rounds: how often each piece of work is timed.
        device: where to compute; chosen when None.
        callback: hears how far it is.

    Raises:
        ModelError: there is no such network.
        ResourceError: a batch does not fit into memory.
    """
    used, callback = choose_device(device), callback or Callback()
    measured = tuple(
        _bench_model(name, batch_size=batch_size, rounds=rounds, device=used, callback=callback) for name in models
    )
    return Bench(
        device=torch.cuda.get_device_name(used) if used.type == "cuda" else used.type,
        threads=torch.get_num_threads(),
        batch_size=batch_size,
        rounds=rounds,
        memory_mb=memory_mb(used),
        models=measured,
    )


def _bench_model(name: str, *, batch_size: int, rounds: int, device: torch.device, callback: Callback) -> ModelBench:
    source = find_source(model_source(name))
    facts, network = source.facts(), source.sketch(len(CLASSES))
    size = facts.input_size
    preprocessing = Preprocessing(height=size, width=size, crop_pct=facts.crop_pct, fit=facts.fit)
    cost = measure_cost(network, size=size, device=device)
    with explain_memory("the machine was measured", "give --batch-size 8"):
        works = list_works(network, preprocessing, batch_size=batch_size, device=device, on_note=callback.on_note)
        seconds = time_in_turns(
            {work: one.do for work, one in works.items()},
            rounds=rounds,
            device=device,
            on_round=lambda done: callback.on_progress(f"measuring {facts.name}", done, rounds),
        )
    each = {work: np.array(seconds[work]) / one.photos for work, one in works.items()}
    return ModelBench(
        model=facts.name,
        input_size=size,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        activation_mb=cost.activation_mb,
        timings=tuple(_compare(work, own, each[FORWARD]) for work, own in each.items()),
    )


def _compare(work: str, seconds: NDArray[np.float64], forward: NDArray[np.float64]) -> Timing:
    """The timing of seconds per photo, one for each round, beside those of the forward pass."""
    ratios = (seconds / forward).tolist()
    return Timing(
        work=work,
        photos_per_second=1 / median(seconds.tolist()),
        ratio=median(ratios),
        ratio_low=min(ratios),
        ratio_high=max(ratios),
    )
