"""Bench: how fast this machine decodes, answers, explains and trains, piece by piece on made-up pictures.

Weights do not change the time, so none are needed: networks are drawn at random, each for ten classes.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pcn_cli.attention.evidence import rank_classes
from pcn_cli.attention.maps import choose_weights, look_maps
from pcn_cli.data.drawing import draw_ground
from pcn_cli.data.load.loaders import preprocess
from pcn_cli.data.load.open_image import decode_photo
from pcn_cli.models.fast_trunk import make_fast
from pcn_cli.models.fold_norms import fold_norms
from pcn_cli.models.sources import find_source
from pcn_cli.recipe.arguments import checked
from pcn_cli.recipe.schema import Count
from pcn_cli.records.arithmetic import Precision
from pcn_cli.records.model import ModelConfig, Preprocessing
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.inference.hiding import Hiding, hide_batch
from pcn_cli.stages.inference.load import model_source
from pcn_cli.tensors.network import Batch, Network
from pcn_cli.training.checkpoint import Progress
from pcn_cli.training.device import (
    choose_device,
    explain_memory,
    has_native_bf16,
    measure_cost,
    memory_mb,
    time_in_turns,
)
from pcn_cli.training.fit_config import FitConfig
from pcn_cli.training.learner import Learner
from pcn_cli.training.probe import TokenHead

CLASSES = tuple(f"class {number}" for number in range(10))
FORWARD = "forward pass"
BFLOAT16 = "forward pass in bfloat16"  # where the device computes in it
UNFOLDED = "forward pass, batch norms not folded"  # as while training; only of networks that have some
_WIDTH, _HEIGHT = 1024, 768  # of the photo that is decoded
_GRAIN = 10.0  # standard deviation, in 0 … 255
_DECODED = 4  # times in a row: enough for the clock
_LIMIT = 1024  # channels of the convolution that shows what the machine can do
_RATE = 1e-9  # steps cost what they always do, and the random network stays as it is


@dataclass(frozen=True, kw_only=True)
class Timing:
    """What one piece of work takes, in the median of the rounds.

    `ratio` is its time per photo over that of the plain forward pass in the same round; low and high are of all rounds.
    """

    work: str
    photos_per_second: float
    ratio: float
    ratio_low: float
    ratio_high: float


@dataclass(frozen=True, kw_only=True)
class ModelBench:
    """One network's timings at its input size; `activation_mb` is kept of each photo in a float32 step of tuning.

    `gmacs` are the products of a forward pass in thousand millions, `limit_share` how much of what a large convolution
    reaches here the fastest forward pass does.
    """

    model: str
    input_size: int
    parameters: int
    gmacs: float
    limit_share: float
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
    models: Sequence[str | Path] = ("nano",),
    *,
    batch_size: Count = 32,
    rounds: Count = 5,
    device: str | None = None,
    callback: Callback | None = None,
) -> Bench:
    """How fast this machine is with each of `models`; nothing is downloaded or written.

    These are cards, timm backbones, runs, model folders or weight files; each piece of work is timed `rounds` times.

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


def _bench_model(
    name: str | Path, *, batch_size: int, rounds: int, device: torch.device, callback: Callback
) -> ModelBench:
    source = find_source(model_source(name))
    own, network = source.config().preprocessing, source.sketch(len(CLASSES))
    size = max(own.height, own.width)
    preprocessing = Preprocessing(height=size, width=size, crop_pct=own.crop_pct, fit=own.fit)
    cost = measure_cost(network, size=size, device=device)
    with explain_memory("the machine was measured", "give --batch-size 8"):
        works = list_workloads(network, preprocessing, batch_size=batch_size, device=device, on_note=callback.on_note)
        seconds = time_in_turns(
            {work: one.do for work, one in works.items()},
            rounds=rounds,
            device=device,
            on_round=lambda done: callback.on_progress(f"measuring {source.name}", done, rounds),
        )
    gmacs, limits = count_gmacs(network, size), {}
    for work, precision in ((FORWARD, torch.float32), (BFLOAT16, torch.bfloat16)):
        if work in works:
            limits[work] = measure_limit(precision, device=device)
    per_photo = {work: np.array(seconds[work]) / one.photos for work, one in works.items()}
    return ModelBench(
        model=source.name,
        input_size=size,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        gmacs=gmacs,
        limit_share=max(gmacs / float(np.median(per_photo[work])) / limit for work, limit in limits.items()),
        activation_mb=cost.activation_mb,
        timings=tuple(
            Timing(
                work=work,
                photos_per_second=float(1 / np.median(own)),
                ratio=float(np.median(own / per_photo[FORWARD])),
                ratio_low=float(np.min(own / per_photo[FORWARD])),
                ratio_high=float(np.max(own / per_photo[FORWARD])),
            )
            for work, own in per_photo.items()
        ),
    )


class Workload(NamedTuple):
    """What is done at once, and for how many photos."""

    do: Callable[[], object]
    photos: int


def list_workloads(
    network: nn.Module,
    preprocessing: Preprocessing,
    *,
    batch_size: int,
    device: torch.device,
    on_note: Callable[[str], None],
) -> dict[str, Workload]:
    """The pieces by name, in display order; `network` is moved to `device` and left as it is.

    `on_note` hears where a training step had to be cut for want of memory.
    """
    network = network.to(device=device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    answering = cast("Network", make_fast(network, device=device, precision="float32"))
    folded = cast("nn.Module", answering)
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randn(batch_size, 3, preprocessing.height, preprocessing.width, generator=generator)
    images = pictures.to(device).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        tokens = answering.forward_features(images).cpu()
    infer = torch.inference_mode()
    model_config = ModelConfig(architecture="", classes=CLASSES, preprocessing=preprocessing)
    precision: Precision = "bfloat16" if has_native_bf16(device) else "float32"
    head, everything = TokenHead(copy.deepcopy(network)), copy.deepcopy(network)
    setting = FitConfig(classes=CLASSES, epochs=1, batch_size=batch_size, micro_batch=batch_size, lr=_RATE)
    probing, tuning = replace(setting, phase="probe", tune="probe"), replace(setting, precision=precision)
    jpeg = draw_jpeg()

    step = partial(make_step, device=device, on_note=on_note)
    others = {}
    if fold_norms(network) is not network:
        others[UNFOLDED] = Workload(infer(partial(network, images)), batch_size)
    if precision == "bfloat16":
        fast = make_fast(network, device=device, precision=precision)
        others[BFLOAT16] = Workload(infer(partial(fast, images)), batch_size)
    return {
        FORWARD: Workload(infer(partial(folded, images)), batch_size),
        **others,
        "forward pass and all maps": Workload(infer(partial(explain, answering, images, model_config)), batch_size),
        "step of the probe": Workload(step(head, tokens.clone(), probing), batch_size),
        f"step of tuning ({precision})": Workload(step(everything, pictures, tuning), batch_size),
        f"decoding ({_WIDTH} × {_HEIGHT} JPEG)": Workload(
            lambda: [preprocess(decode_photo(BytesIO(jpeg))[0], preprocessing) for _ in range(_DECODED)], _DECODED
        ),
    }


def make_step(
    module: nn.Module, inputs: Tensor, config: FitConfig, *, device: torch.device, on_note: Callable[[str], None]
) -> Callable[[], object]:
    """A training step of `module` on `inputs`, photos or tokens, again and again; `on_note` as above."""
    photos = len(inputs)
    progress = Progress(plan=config, versions={}, total_steps=1000, micro_batch=photos)
    learner = Learner(module, config, device=device)
    learner.set_schedule(progress)
    batch = Batch(inputs, torch.arange(photos) % len(CLASSES), torch.arange(photos))
    return lambda: learner.take_step(batch, progress=progress, on_note=on_note)


def count_gmacs(network: nn.Module, size: int) -> float:
    """The products of convolutions and matrices for one photo of `size` × `size` pixels, in thousand millions."""
    device = next(network.parameters()).device
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, size, size, device=device))
    return float(counter.get_total_flops()) / 2 / 1e9


def measure_limit(dtype: torch.dtype, *, device: torch.device) -> float:
    """The thousand millions of products a second that a large 1×1 convolution reaches, the best of five."""
    convolution = nn.Conv2d(_LIMIT, _LIMIT, 1, bias=False, device=device, dtype=dtype)
    convolution = convolution.to(memory_format=torch.channels_last)
    images = torch.randn(8, _LIMIT, 14, 14, device=device, dtype=dtype).contiguous(memory_format=torch.channels_last)
    work = torch.inference_mode()(partial(convolution, images))
    best = min(time_in_turns({"": work}, rounds=5, device=device)[""])
    return float(len(images) * 14 * 14 * _LIMIT**2 / best / 1e9)


def explain(network: Network, images: Tensor, config: ModelConfig) -> None:
    """Compute scores, look, evidence of the top 3, both curves and all numbers of one batch."""
    tokens = network.forward_features(images)
    attended = network.attend_tokens(tokens)
    ranked = rank_classes(attended.logits)
    best = ranked[:, 0].cpu().tolist()
    looks = look_maps(choose_weights(attended.weights.float().cpu().numpy(), best), attended.grid)
    indices = list(range(len(images)))
    hiding = Hiding(seed=0)
    hide_batch(network, tokens, attended, looks=looks, ranked=ranked, indices=indices, config=config, hiding=hiding)


def draw_jpeg(width: int = _WIDTH, height: int = _HEIGHT) -> bytes:
    """The file of a photo with about as much detail as a camera's: that is what takes time."""
    rng = np.random.default_rng(0)
    ground = np.asarray(draw_ground(width, height, rng), dtype=np.float64)
    grainy = np.clip(ground + rng.normal(0, _GRAIN, ground.shape), 0, 255).astype(np.uint8)
    file = BytesIO()
    Image.fromarray(grainy).save(file, format="JPEG", quality=90)
    return file.getvalue()
