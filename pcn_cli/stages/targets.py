"""What pcn is to reach on this machine: each row with its target, what was measured, and whether it holds.

A row is the ratio of two works that take turns in one process, or of two commands, each in a process of its own. The
reference of inference and training is the network in the form its authors published, in eager float32.
"""

import operator
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple, cast

import numpy as np
import psutil
import torch
from torch import Tensor, nn
from torchvision import transforms
from torchvision.datasets.folder import default_loader

from pcn_cli.data.drawing import draw_ground
from pcn_cli.data.load.augment import Augmentation
from pcn_cli.data.load.loaders import PhotoDataset, stack_photos
from pcn_cli.data.load.photo_cache import PhotoCache
from pcn_cli.errors import RecipeError
from pcn_cli.files.atomic import sha256_of
from pcn_cli.models.fast_trunk import make_fast
from pcn_cli.models.openvino_trunk import with_openvino
from pcn_cli.models.patchconvnet import PatchConvNet
from pcn_cli.models.published_form import PublishedForm
from pcn_cli.models.sources import find_source
from pcn_cli.recipe.arguments import checked
from pcn_cli.recipe.schema import Count, Recipe
from pcn_cli.records.arithmetic import Precision
from pcn_cli.records.model import ModelConfig, Preprocessing
from pcn_cli.stages.bench import CLASSES, draw_jpeg, explain, make_step
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.inference.load import is_openvino_here
from pcn_cli.tensors.network import Network
from pcn_cli.training.device import choose_device, has_native_bf16, one_thread, time_in_turns
from pcn_cli.training.fit_config import FitConfig

_MODEL, _SIDE = "s60", 224
_LOADED = 4  # photos at once
_PHOTOS = {1: (1024, 768), 12: (4000, 3000)}  # width and height by megapixels
_TRAINED_AT_ONCE = 16
_RATE = 1e-9  # steps cost what they always do, and nothing is learned
_COLD = """
import sys, numpy, torch
from PIL import Image
from safetensors.torch import load_file
from pcn_cli.models.patchconvnet import PatchConvNet
network = PatchConvNet(embed_dim=192, depth=16, num_classes=200)
network.load_state_dict(load_file(sys.argv[1]))
photo = numpy.asarray(Image.open(sys.argv[2]).convert("RGB").resize((146, 146)).crop((9, 9, 137, 137)), numpy.float32)
with torch.inference_mode():
    network.eval()(torch.from_numpy(photo).permute(2, 0, 1)[None] / 255).softmax(1).topk(5)
"""


class Row(NamedTuple):
    """What is measured, by how much at least or at most, and how: a figure for each of so many rounds."""

    words: str
    bound: float
    at_most: bool
    measure: Callable[["Setting"], Sequence[float]]


class Setting(NamedTuple):
    """Where and how often a row is measured; `clock` gives seconds from any origin."""

    device: torch.device
    rounds: int
    clock: Callable[[], float]


@dataclass(frozen=True, kw_only=True)
class Reached:
    """A row as it was measured: the median of the rounds, and their lowest and highest; `holds` is of the median."""

    key: str
    words: str
    bound: float
    at_most: bool
    value: float
    low: float
    high: float
    holds: bool


@checked
def measure_targets(
    keys: Sequence[str] = ("all",),
    *,
    rounds: Count = 5,
    device: str | None = None,
    callback: Callback | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[Reached, ...]:
    """The rows of these names in the order of `ROWS`, or all; minutes each where the network is `s60`.

    Raises:
        RecipeError: there is no such row. ResourceError: there is no such device.
    """
    if unknown := set(keys) - ROWS.keys() - {"all"}:
        raise RecipeError(f"there is no target {min(unknown)!r}", f"name one of {', '.join(ROWS)}, or all")
    callback = callback or Callback()
    setting = Setting(choose_device(device), rounds, clock)
    chosen = [key for key in ROWS if key in keys or "all" in keys]
    reached = []
    for done, key in enumerate(chosen):
        callback.on_progress(f"measuring {key}", done, len(chosen))
        words, bound, at_most, measure = ROWS[key]
        found = measure(setting)
        holds = (operator.le if at_most else operator.ge)(median(found), bound)
        reached.append(
            Reached(
                key=key,
                words=words,
                bound=bound,
                at_most=at_most,
                value=median(found),
                low=min(found),
                high=max(found),
                holds=holds,
            )
        )
    return tuple(reached)


def best_precision(device: torch.device) -> Precision:
    """That of the fastest form on `device`."""
    return "bfloat16" if has_native_bf16(device) else "float32"


def _speed_up(setting: Setting, *, photos: int, exact: bool = False, openvino: bool = False) -> list[float]:
    """How many times as fast as the published form the fast one answers, or on a processor OpenVINO does."""
    network, images = _network(), _images(photos, setting.device)
    precision: Precision = "float32" if exact else best_precision(setting.device)
    plain = PublishedForm(cast("PatchConvNet", deepcopy(network))).to(setting.device).eval()
    fast = make_fast(network, device=setting.device, precision=precision)
    if openvino:
        fast = with_openvino(network, fast, precision=precision)
    packed, inferring = images.contiguous(memory_format=torch.channels_last), torch.inference_mode()
    return _ratios(setting, {"slow": inferring(partial(plain, images)), "fast": inferring(partial(fast, packed))})


def _training(setting: Setting) -> list[float]:
    """How many times as fast as a plain step on the published form a step of tuning is."""
    network, photos = _network(), _TRAINED_AT_ONCE
    images, targets = _images(photos, setting.device), torch.arange(photos, device=setting.device) % len(CLASSES)
    plain = PublishedForm(cast("PatchConvNet", deepcopy(network))).to(setting.device).train()
    optimizer = torch.optim.AdamW(plain.parameters(), lr=_RATE)

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(plain(images), targets).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    config = FitConfig(
        classes=CLASSES,
        epochs=1,
        batch_size=photos,
        micro_batch=photos,
        lr=_RATE,
        precision=best_precision(setting.device),
    )
    tune = make_step(network, images.cpu(), config, device=setting.device, on_note=Callback().on_note)
    return _ratios(setting, {"slow": step, "fast": tune})


def _maps(setting: Setting) -> list[float]:
    """What scores, maps and hiding take beyond the scores, over the eager channels-last float32 forward pass."""
    network, images = _network(), _images(32, setting.device).contiguous(memory_format=torch.channels_last)
    network = network.to(device=setting.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    config = ModelConfig(architecture="", classes=CLASSES, preprocessing=Preprocessing(height=_SIDE, width=_SIDE))
    works = {"slow": partial(explain, cast("Network", network), images, config), "fast": partial(network, images)}
    inferring = torch.inference_mode()
    return [ratio - 1 for ratio in _ratios(setting, {name: inferring(work) for name, work in works.items()})]


def _cold(setting: Setting) -> list[float]:
    """The processor time of a command that answers one photo, over that of a script with the same forward pass."""
    folder = find_source("nano").path  # type: ignore[attr-defined]
    with tempfile.TemporaryDirectory(prefix="pcn-bench-") as place:
        photo = Path(place) / "photo.jpg"
        draw_ground(640, 480, np.random.default_rng(0)).save(photo)
        bare = [sys.executable, "-c", _COLD, str(folder / "model.safetensors"), str(photo)]
        ours = [sys.executable, "-m", "pcn_cli", "predict", str(photo), "--model", "nano"]
        pairs = [(_processor_seconds(ours), _processor_seconds(bare)) for _ in range(setting.rounds + 1)][1:]
    return [own / other for own, other in pairs]


def _help(setting: Setting) -> list[float]:
    """The processor time of the help, in seconds."""
    words = [sys.executable, "-m", "pcn_cli", "--help"]
    return [_processor_seconds(words) for _ in range(setting.rounds + 1)][1:]


def _loading(setting: Setting, *, megapixels: int, cached: bool) -> list[float]:
    """How many times as fast as torchvision's transforms on PIL photos of some size are decoded, cut and mirrored."""
    size, draft = _PHOTOS[megapixels], Recipe().data.draft
    wanted = Preprocessing(height=_SIDE, width=_SIDE, draft=draft)
    usual = transforms.Compose(
        [
            transforms.RandomResizedCrop(_SIDE, interpolation=transforms.InterpolationMode.BICUBIC),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(wanted.mean, wanted.std),
        ]
    )
    varied = Augmentation(level="light", flip=True, preprocessing=wanted, seed=0)
    with tempfile.TemporaryDirectory(prefix="pcn-bench-") as place:
        file, cache = Path(place) / "photo.jpg", PhotoCache(folder=Path(place) / "cache", limit=2**40)
        file.write_bytes(draw_jpeg(*size))
        photos = PhotoDataset(
            file.parent,
            [file.name],
            preprocessing=wanted,
            augmentation=varied,
            cache=cache if cached else None,
            hashes=[sha256_of(file)],
        )

        def load() -> None:
            stack_photos([photos[epoch, 0] for epoch in range(_LOADED)], norm=photos.norm).inputs(torch.device("cpu"))

        def load_usual() -> None:
            torch.stack([usual(default_loader(str(file))) for _ in range(_LOADED)])

        # One core's work, as of each process that loads, so by its time: that of the wall also tells what else goes on.
        with one_thread():
            return _ratios(setting._replace(clock=time.process_time), {"slow": load_usual, "fast": load})


def _processor_seconds(words: Iterable[str]) -> float:
    """What a command takes of the processors until it has ended well."""
    before = psutil.Process().cpu_times()
    subprocess.run(list(words), check=True, capture_output=True)  # noqa: S603 - this Python
    after = psutil.Process().cpu_times()
    return float(after.children_user + after.children_system - before.children_user - before.children_system)


def _ratios(setting: Setting, works: dict[str, Callable[[], object]]) -> list[float]:
    """The time of "slow" over that of "fast" in each round."""
    taken = time_in_turns(works, rounds=setting.rounds, device=setting.device, clock=setting.clock)
    return [slow / fast for slow, fast in zip(taken["slow"], taken["fast"], strict=True)]


def _network() -> nn.Module:
    torch.manual_seed(0)
    return find_source(_MODEL).sketch(len(CLASSES))


def _images(photos: int, device: torch.device) -> Tensor:
    return torch.randn(photos, 3, _SIDE, _SIDE, generator=torch.Generator().manual_seed(0)).to(device)


_BY_OPENVINO = {
    "batch-8-cpu": Row("the same by OpenVINO", 2.8, False, partial(_speed_up, photos=8, openvino=True)),
    "batch-1-cpu": Row("a photo by OpenVINO", 2.2, False, partial(_speed_up, photos=1, openvino=True)),
}
ROWS = {
    "batch-8": Row("s60, 8 photos, × the published form", 2.2, False, partial(_speed_up, photos=8)),
    "batch-1": Row("s60, a photo, × the published form", 2.0, False, partial(_speed_up, photos=1)),
    **(_BY_OPENVINO if is_openvino_here() else {}),
    "exact": Row("s60, 8 photos in float32, × the same", 1.4, False, partial(_speed_up, photos=8, exact=True)),
    "training": Row("s60, step of 16 photos, × the published form", 2.1, False, _training),
    "maps": Row("s60, what maps and hiding add to a forward pass", 0.15, True, _maps),
    "load": Row("photos of 1 MP, × torchvision", 1.8, False, partial(_loading, megapixels=1, cached=False)),
    "load-12": Row("of 12 MP, × the same", 4.0, False, partial(_loading, megapixels=12, cached=False)),
    "cached": Row("of 1 MP from the cache, × the same", 5.0, False, partial(_loading, megapixels=1, cached=True)),
    "cached-12": Row("of 12 MP from the cache, × the same", 60.0, False, partial(_loading, megapixels=12, cached=True)),
    "cold": Row("pcn predict of one photo, × a bare script", 1.15, True, _cold),
    "help": Row("pcn --help, seconds of a processor", 0.2, True, _help),
}
