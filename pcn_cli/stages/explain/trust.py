"""Can one trust the maps? What the pass of the scores gave already, and further passes over a sample of the photos."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch

from pcn_cli.attention.faithfulness import blur_patches, draw_orders, randomised, rank_correlation, rank_patches
from pcn_cli.attention.geometry import mirror_map
from pcn_cli.attention.localisation import energy_in_boxes, even_energy, find_peak, middle_energy
from pcn_cli.attention.maps import choose_weights, look_maps
from pcn_cli.data.load.loaders import PhotoBatches, PhotoDataset
from pcn_cli.metrics import trust
from pcn_cli.metrics.pointing import covered_share, hits_box, hits_middle
from pcn_cli.recipe.schema import Recipe
from pcn_cli.records.evaluation import Trust, TrustCheck
from pcn_cli.records.model import ModelConfig
from pcn_cli.records.photos import Box
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.inference.hiding import Hiding
from pcn_cli.stages.inference.load import LoadedModel, for_inference
from pcn_cli.stages.inference.score import Scored, loading_workers
from pcn_cli.tensors.network import Attended, Network
from pcn_cli.training.device import explain_memory
from pcn_cli.training.probabilities import to_probabilities

# Photos whose maps are compared with others: their correlations differ so little that 25 always gave the verdict of 200
# (400 draws each, two networks). A drop of confidence differs more, and is measured on the whole sample.
MOST_COMPARED = 50


def check_maps(
    model: LoadedModel,
    scored: Sequence[Scored],
    *,
    root: Path,
    boxes: Mapping[str, Sequence[Box]],
    hiding: Hiding,
    recipe: Recipe,
    callback: Callback,
) -> Trust:
    """The checks of the maps of labelled photos, which were scored with `hiding`; further passes go over its sample.

    Where the network looks at every patch alike there is no look to check, and that is said.
    """
    known = [(one.prediction, one.hidden) for one in scored if one.hidden]
    right = [bool(prediction.correct) for prediction, _ in known]
    in_boxes = _check_boxes([one for one in scored if boxes.get(one.prediction.file)], boxes, model.config)
    if cast("Network", model.network).looks_evenly:
        return Trust(sample=0, seed=hiding.seed, checks=(trust.state_even_look(right), *in_boxes))
    checks = [
        trust.check_attention("even", right, [hidden.even == one.label for one, hidden in known]),
        trust.check_attention("permuted", right, [hidden.permuted == one.label for one, hidden in known]),
        trust.check_order([hidden.numbers.srg for _, hidden in known]),
    ]
    sample = [one for one in scored if one.index in hiding.sample]
    if sample:
        files = [one.prediction.file for one in sample]
        photos = PhotoBatches(
            PhotoDataset(
                root, files, preprocessing=model.config.preprocessing, load_truncated=recipe.data.load_truncated
            ),
            batch_size=recipe.evaluate.batch_size,
            workers=loading_workers(recipe, model.device),
            device=model.device,
        )
        checks += _check_passes(model, sample, photos, hiding, callback)
    return Trust(sample=len(sample), seed=hiding.seed, checks=(*checks, *in_boxes))


def _check_passes(
    model: LoadedModel, sample: Sequence[Scored], photos: PhotoBatches, hiding: Hiding, callback: Callback
) -> list[TrustCheck]:
    """What it gives to see the sample by a network that forgot what it learned, mirrored, and with patches blurred.

    All numbers are one per photo; maps are compared on at most `MOST_COMPARED` photos of the sample, spread evenly, and
    those that are level have no correlation and are left out.
    """
    network = for_inference(model.network, model.device, precision=model.precision)
    # One pass over few photos.
    forgetful = for_inference(randomised(model.network, seed=hiding.seed), model.device, precision=model.precision)
    every, checked = -(-len(sample) // MOST_COMPARED), 0
    correlations: dict[str, list[float]] = {"pooling": [], "network": [], "mirrored": []}
    drops: dict[str, list[float]] = {"most looked at": [], "random": []}
    same_label: list[bool] = []
    for batch in photos.batches():
        own = [sample[index] for index in batch.indices.tolist()]
        rows = [row for row, index in enumerate(batch.indices.tolist()) if index % every == 0]
        with explain_memory("the maps were checked"), torch.inference_mode():
            images = batch.inputs(model.device)
            for name, left in _blur_halves(network, own, images, model.config, hiding.seed).items():
                drops[name] += [one.prediction.confidence - float(p) for one, p in zip(own, left, strict=True)]
            if rows:
                compared, seen = [own[row] for row in rows], images[rows]
                classes = _predicted(compared, model.config)
                mirrored, width = network.attend(seen.flip(3), values=False), seen.shape[3]
                same_label += (mirrored.logits.argmax(dim=1).cpu().numpy() == classes).tolist()
                looks = _looks(mirrored, classes)
                back = [mirror_map(one, patch_grid=model.config.patch_grid, width=width) for one in looks]
                correlations["mirrored"] += _correlate(compared, back)
                forgotten = forgetful.attend(seen, values=False)
                correlations["network"] += _correlate(compared, _looks(forgotten, classes))
                by_pooling = [one.hidden.forgotten for one in compared if one.hidden]
                correlations["pooling"] += _correlate(compared, by_pooling)
        checked += len(own)
        callback.on_progress("checking the maps", checked, len(sample))
    checks = []
    if correlations["pooling"] and correlations["network"]:
        checks.append(trust.check_randomised(correlations["pooling"], correlations["network"]))
    if correlations["mirrored"]:
        checks.append(trust.check_flip(correlations["mirrored"], same_label))
    return [*checks, trust.check_pixels(drops["most looked at"], drops["random"])]


def _blur_halves(
    network: Network, scored: Sequence[Scored], images: torch.Tensor, config: ModelConfig, seed: int
) -> dict[str, np.ndarray]:
    """What is left of each prediction's probability once a half of its photo's patches is blurred, (B,) by which."""
    classes, left = _predicted(scored, config), {}
    for name, hidden in _choose_halves(scored, seed).items():
        tokens = network.forward_features(blur_patches(images, hidden, patch_grid=config.patch_grid))
        logits = network.forward_head(tokens)
        probabilities = to_probabilities(logits, multi_label=False, temperature=config.temperature).numpy()
        left[name] = probabilities[np.arange(len(scored)), classes]
    return left


def _predicted(scored: Sequence[Scored], config: ModelConfig) -> np.ndarray:
    return np.array([config.classes.index(one.prediction.predicted) for one in scored])


def _looks(attended: Attended, classes: np.ndarray) -> np.ndarray:
    return look_maps(choose_weights(attended.weights.float().cpu().numpy(), classes.tolist()), attended.grid)


def _correlate(scored: Sequence[Scored], maps: Sequence[np.ndarray | None] | np.ndarray) -> list[float]:
    pairs = [rank_correlation(one.look, other) for one, other in zip(scored, maps, strict=True) if other is not None]
    return [one for one in pairs if one is not None]


def _choose_halves(scored: Sequence[Scored], seed: int) -> dict[str, np.ndarray]:
    """Which half of each photo's patches is blurred, (B, h, w): that which was looked at most, and a random one."""
    looks = np.stack([one.look.ravel() for one in scored])
    patches = looks.shape[1]
    drawn = np.concatenate([draw_orders((seed, one.index), patches, count=1) for one in scored])
    ranks = {"most looked at": rank_patches(looks), "random": drawn}
    return {name: (own < patches // 2).reshape(-1, *scored[0].look.shape) for name, own in ranks.items()}


def _check_boxes(scored: Sequence[Scored], boxes: Mapping[str, Sequence[Box]], config: ModelConfig) -> list[TrustCheck]:
    """How look and evidence find the objects, beside guesses."""
    if not scored:
        return []
    own, grid = [boxes[one.prediction.file] for one in scored], config.patch_grid
    maps = {"look": [one.look for one in scored], "evidence": [one.hidden.evidence[0] for one in scored if one.hidden]}
    hits: dict[str, list[bool]] = {}
    energy: dict[str, list[float]] = {}
    for name, values in maps.items():
        placed = [(one.placement, own_map, some) for one, own_map, some in zip(scored, values, own, strict=True)]
        hits[name] = [hits_box(*find_peak(one, patch_grid=grid, placement=place), some) for place, one, some in placed]
        energy[name] = [energy_in_boxes(one, some, patch_grid=grid, placement=place) for place, one, some in placed]
    hits["center"] = [hits_middle(some) for some in own]
    energy["center"] = [middle_energy(some, one.placement) for one, some in zip(scored, own, strict=True)]
    even = [even_energy(some, one.placement) for one, some in zip(scored, own, strict=True)]
    return [
        trust.check_pointing(hits, random=[covered_share(some) for some in own]),
        trust.check_energy(energy, even=even),
    ]
