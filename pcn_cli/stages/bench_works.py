"""The pieces of work that `pcn bench` times: decoding, the forward pass, the maps, and a step of either training."""

import copy
from collections.abc import Callable
from functools import partial
from io import BytesIO
from typing import NamedTuple, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from pcn_cli.attention.evidence import rank_classes
from pcn_cli.attention.maps import choose_weights, look_maps
from pcn_cli.data.drawing import draw_ground
from pcn_cli.data.load.open_image import decode_photo
from pcn_cli.data.load.preprocessing import preprocess
from pcn_cli.recipe.schema import Precision, Tune
from pcn_cli.records.model import ModelConfig, Preprocessing
from pcn_cli.stages.inference.hiding import Hiding, hide_batch
from pcn_cli.tensors.batch import Batch
from pcn_cli.tensors.network import Network
from pcn_cli.training.checkpoint import Progress
from pcn_cli.training.device import has_native_bf16
from pcn_cli.training.fit_config import FitConfig
from pcn_cli.training.learner import Learner
from pcn_cli.training.probe import BehindTokens

CLASSES = tuple(f"class {number}" for number in range(10))
FORWARD = "forward pass"
_WIDTH, _HEIGHT = 1024, 768  # of the photo that is decoded
_GRAIN = 10.0  # standard deviation, in 0 … 255
_DECODED = 4  # times in a row: enough for the clock
_RATE = 1e-9  # steps cost what they always do, and the random network stays as it is


class Work(NamedTuple):
    """What is done at once, and for how many photos."""

    do: Callable[[], object]
    photos: int


def list_works(
    network: nn.Module,
    preprocessing: Preprocessing,
    *,
    batch_size: int,
    device: torch.device,
    on_note: Callable[[str], None],
) -> dict[str, Work]:
    """The pieces by name, in display order; `network` is moved to `device` and left as it is.

    `on_note` hears where a training step had to be cut for want of memory.
    """
    network = network.to(device=device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randn(batch_size, 3, preprocessing.height, preprocessing.width, generator=generator)
    images = pictures.to(device).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        tokens = cast("Network", network).forward_features(images).cpu()
    config = ModelConfig(architecture="", classes=CLASSES, preprocessing=preprocessing)
    precision: Precision = "bfloat16" if has_native_bf16(device) else "float32"
    learn_head = _step(
        BehindTokens(copy.deepcopy(network)), tokens.clone(), tune="probe", device=device, on_note=on_note
    )
    learn_all = _step(copy.deepcopy(network), pictures, tune="all", precision=precision, device=device, on_note=on_note)
    jpeg = draw_jpeg()
    return {
        FORWARD: Work(_inferring(partial(network, images)), batch_size),
        "forward pass and all maps": Work(
            _inferring(partial(explain, cast("Network", network), images, config)), batch_size
        ),
        "step of the probe": Work(learn_head, batch_size),
        f"step of tuning ({precision})": Work(learn_all, batch_size),
        f"decoding ({_WIDTH} × {_HEIGHT} JPEG)": Work(
            lambda: [preprocess(decode_photo(BytesIO(jpeg)), preprocessing) for _ in range(_DECODED)], _DECODED
        ),
    }


def explain(network: Network, images: Tensor, config: ModelConfig) -> None:
    """Compute scores, look, evidence of the top 3, both curves and all numbers of one batch."""
    attended = network.attend(images)
    ranked = rank_classes(attended.logits)
    best = ranked[:, 0].cpu().tolist()
    looks = look_maps(choose_weights(attended.weights.float().cpu().numpy(), best), attended.grid)
    indices = list(range(len(images)))
    hide_batch(network, attended, looks=looks, ranked=ranked, indices=indices, config=config, hiding=Hiding(seed=0))


def draw_jpeg() -> bytes:
    """The file of a photo with about as much detail as a camera's, a quarter of a megabyte: that is what takes time."""
    rng = np.random.default_rng(0)
    ground = np.asarray(draw_ground(_WIDTH, _HEIGHT, rng), dtype=np.float64)
    grainy = np.clip(ground + rng.normal(0, _GRAIN, ground.shape), 0, 255).astype(np.uint8)
    file = BytesIO()
    Image.fromarray(grainy).save(file, format="JPEG", quality=90)
    return file.getvalue()


def _inferring(work: Callable[[], object]) -> Callable[[], object]:
    def infer() -> object:
        with torch.inference_mode():
            return work()

    return infer


def _step(
    network: nn.Module,
    inputs: Tensor,
    *,
    tune: Tune,
    precision: Precision = "float32",
    device: torch.device,
    on_note: Callable[[str], None],
) -> Callable[[], object]:
    """A training step of `network`, which is changed, on inputs (B, …) with made-up targets."""
    count = len(inputs)
    config = FitConfig(
        phase="probe" if tune == "probe" else "tune",
        tune=tune,
        classes=CLASSES,
        epochs=1,
        batch_size=count,
        micro_batch=count,
        lr=_RATE,
        precision=precision,
    )
    progress = Progress(plan=config, versions={}, total_steps=1000, micro_batch=count)
    learner = Learner(network, config, device=device)
    learner.lay_schedule(progress)
    batch = Batch(inputs, torch.arange(count) % len(CLASSES), torch.arange(count))
    return lambda: learner.take_step(batch, progress=progress, on_note=on_note)
