"""ImageNet's validation photos and a model of its 1,000 classes: which way of measuring gives the published figure.

Each photo is prepared with both crops in use, and computed in float32 as well as under autocast, as the authors
evaluated. Nothing is claimed where photos are missing.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from pcn_cli.data.load.loaders import PhotoBatches, PhotoDataset
from pcn_cli.data.scan.imagenet import CLASSES, ImageNetPhotos, find_imagenet
from pcn_cli.errors import DataError, ModelError, RecipeError
from pcn_cli.files.atomic import sha256_of
from pcn_cli.files.machine import available_cores
from pcn_cli.metrics.intervals import wilson
from pcn_cli.models.reproduction import record_reproduction
from pcn_cli.models.sources import find_source
from pcn_cli.models.sources.base import Source
from pcn_cli.models.sources.weights import CardSource, class_names
from pcn_cli.models.weights import Fetcher
from pcn_cli.recipe.arguments import checked
from pcn_cli.recipe.choose import choose_workers
from pcn_cli.recipe.schema import Count
from pcn_cli.records.codec import to_plain
from pcn_cli.records.imagenet import WHOLE, AutocastPrecision, Protocol, Reproduction
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.inference.load import LoadedModel, for_inference, model_source
from pcn_cli.tensors.network import Network
from pcn_cli.training.device import choose_device, explain_memory

CROPS = (0.875, 1.0)
_BATCH_SIZE = 32
_DOING = "photos of ImageNet were scored"


def knows_imagenet(source: str | Path | None, images: str | Path, *, labels: str | Path | None = None) -> bool:
    """Whether `source` tells ImageNet's 1,000 classes apart, and `images` holds photos of its validation part.

    Raises:
        DataError: they are ImageNet's, but without their truth.
    """
    if source is None or not _tells_imagenet(find_source(model_source(source))):
        return False
    return find_imagenet(Path(images), None if labels is None else Path(labels)) is not None


@checked
def evaluate_imagenet(
    source: str | Path,
    images: str | Path,
    *,
    labels: str | Path | None = None,
    record: bool = False,
    batch_size: Count = _BATCH_SIZE,
    device: str | None = None,
    callback: Callback | None = None,
) -> Reproduction:
    """Top-1 and top-5 of a model on ImageNet's photos, at both crops, in float32 and under autocast.

    With `record` the card keeps it, and is given the crop that reproduces its published figure, where one does.

    Raises:
        DataError: `images` are not ImageNet's, or their truth is missing. ModelError: the model has other classes.
        RecipeError: `record` is asked of what is no card.
    """
    callback = callback or Callback()
    found = find_source(model_source(source))
    if not _tells_imagenet(found):
        raise ModelError(f"{found.name} does not tell ImageNet's {CLASSES:,} classes apart", "pcn models list")
    if record and not isinstance(found, CardSource):
        raise RecipeError(f"--record: {source} is no card of `pcn models list`", "leave --record out")
    photos = find_imagenet(Path(images), None if labels is None else Path(labels))
    if photos is None:
        raise DataError(f"{images} holds no photos of ImageNet's validation part")
    found.check_available(offline=False)
    callback.on_note(f"{len(photos.files):,} photos of ImageNet, their classes told by {photos.form}")
    network, config = found.read(fetch=Fetcher(callback=callback))
    model = LoadedModel(network=network, config=config, device=choose_device(device))
    protocols, read = [], 0
    for crop_pct in CROPS:
        some, read = _measure_crop(model, photos, crop_pct=crop_pct, batch_size=batch_size, callback=callback)
        protocols += some
    card = found.card if isinstance(found, CardSource) else None
    measured = Reproduction(
        card=card.full_name if card else found.name,
        weights_sha256=sha256_of(Fetcher(offline=True)(card)) if card else "",
        device=model.device.type,
        photos=read,
        synsets=len(set(photos.targets)),
        published=card.top1 if card else None,
        protocols=tuple(protocols),
        unreadable=len(photos.files) - read,
    )
    return record_measured(source, measured) if record else measured


def record_measured(source: str | Path, measured: Reproduction) -> Reproduction:
    """`measured` as the card now keeps it, with the crop that reproduces the published figure, if one does."""
    found = find_source(str(source))
    if not isinstance(found, CardSource):
        raise RecipeError(f"{source} is no card of `pcn models list`")
    crop_pct = measured.matching[0].crop_pct if measured.matching else None
    return record_reproduction(found.card, measured, crop_pct=crop_pct)


def tell_protocol(measured: Reproduction) -> str:
    """What the figures say of the published one, in a sentence."""
    if measured.published is None:
        return "no figure is published of these weights"
    if not measured.is_whole:
        return (
            f"{measured.photos:,} of {WHOLE:,} photos say nothing of the published {measured.published:.1f} %, "
            "which is of all of them"
        )
    if not measured.matching:
        return f"no way of measuring gives the published {measured.published:.1f} %"
    ways = " and ".join(f"crop {one.crop_pct:g} in {one.precision}" for one in measured.matching)
    return f"the published {measured.published:.1f} % is reproduced by {ways}"


def describe_reproduction(measured: Reproduction) -> dict[str, Any]:
    """The figures as plain values, with what they say of the published one."""
    verdict = {"matching": [to_plain(one) for one in measured.matching], "verdict": tell_protocol(measured)}
    return {**to_plain(measured), **verdict}


def _tells_imagenet(source: Source) -> bool:
    """Whether its classes are the 1,000 in their order; what is no card or file of weights has names of its own."""
    return source.has_weights and source.config().classes == class_names(CLASSES)


def _measure_crop(
    model: LoadedModel, photos: ImageNetPhotos, *, crop_pct: float, batch_size: int, callback: Callback
) -> tuple[list[Protocol], int]:
    """The figures at one crop in each precision, and how many photos could be read."""
    prepared = replace(model.config.preprocessing, fit="crop", crop_pct=crop_pct)
    # What cannot be read is left out, as by the tools that published figures come from; how many is told.
    batches = PhotoBatches(
        PhotoDataset(photos.root, photos.files, list(photos.targets), preprocessing=prepared),
        batch_size=batch_size,
        workers=choose_workers(str(model.device), available_cores())[0],
        on_unreadable=lambda place, reason: callback.on_note(f"left out {photos.files[place]}: {reason}"),
    )
    half: AutocastPrecision = "bfloat16" if model.device.type == "cpu" else "float16"
    precisions: tuple[AutocastPrecision, ...] = ("float32", half)
    right = {name: torch.zeros(2, dtype=torch.int64) for name in precisions}
    done = 0
    with explain_memory(_DOING, "try a smaller card, or --device cpu"):
        network = for_inference(model.network, model.device)
        for batch in batches.batches():
            seen = batch.inputs(model.device)
            for precision in precisions:
                right[precision] += _count_right(network, seen, batch.targets, precision=precision)
            done += len(batch.indices)
            callback.on_progress(f"ImageNet at crop {crop_pct:g}", done, len(photos.files))
    if not done:
        raise DataError(f"not one of {len(photos.files):,} photos of {photos.root} can be read")
    return [_to_protocol(crop_pct, name, right[name].tolist(), done) for name in precisions], done


def _count_right(network: Network, images: torch.Tensor, targets: torch.Tensor, *, precision: str) -> torch.Tensor:
    """How many of the photos (B, 3, H, W) have their class first, and among the first five: (2,)."""
    half = precision != "float32"
    dtype = getattr(torch, precision)
    with torch.inference_mode(), torch.autocast(images.device.type, dtype=dtype if half else None, enabled=half):
        logits = network.forward_head(network.forward_features(images))
    first = logits.float().topk(5, dim=1).indices.cpu() == targets[:, None]  # (B, 5)
    return torch.stack([first[:, 0].sum(), first.any(dim=1).sum()])


def _to_protocol(crop_pct: float, precision: AutocastPrecision, right: Sequence[int], photos: int) -> Protocol:
    low, high = wilson(right[0], photos)
    top1, top5 = (round(100 * count / photos, 3) for count in right)
    return Protocol(
        crop_pct=crop_pct,
        precision=precision,
        top1=top1,
        top5=top5,
        low=round(100 * low, 2),
        high=round(100 * high, 2),
    )
