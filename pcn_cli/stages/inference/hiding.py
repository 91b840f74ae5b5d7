"""What hiding patches does to the photos of one batch, while their values are still there."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from pcn_cli.attention.evidence import evidence_maps, with_labels
from pcn_cli.attention.faithfulness import (
    STEPS,
    even_weights,
    hiding_numbers,
    permuted_weights,
    randomised,
    run_hiding_tests,
)
from pcn_cli.attention.maps import choose_weights, look_maps
from pcn_cli.recipe.schema import Recipe
from pcn_cli.records.model import ModelConfig
from pcn_cli.records.predictions import HidingNumbers
from pcn_cli.stages.inference.load import LoadedModel
from pcn_cli.tensors.network import Attended, Network


@dataclass(frozen=True, kw_only=True)
class Hiding:
    """How patches are hidden: `seed` draws random ones.

    Photos in `sample` (their places in the list) are also seen by `forgetful`, the network with a pooling that forgot
    what it learned. The classes in `labels`, by the same places, get a map of evidence whatever the network says.
    """

    seed: int
    labels: tuple[str, ...] = ()
    sample: frozenset[int] = frozenset()
    forgetful: nn.Module | None = None


@dataclass(frozen=True, kw_only=True)
class HiddenMaps:
    """What hiding gave of one photo; the arrays are those of `AttentionMaps`, in single precision.

    `even` and `permuted` are the classes predicted once the patches share the pooling's weight evenly, or have their
    weights at random places; `forgotten` (h, w) is the look of a pooling that forgot what it learned, of photos in the
    sample.
    """

    numbers: HidingNumbers
    evidence: np.ndarray
    evidence_classes: np.ndarray
    deletion: np.ndarray
    insertion: np.ndarray
    class_looks: np.ndarray | None
    even: str
    permuted: str
    forgotten: np.ndarray | None


def choose_hiding(photos: int, recipe: Recipe, model: LoadedModel) -> Hiding | None:
    """How to hide patches of so many photos; the recipe's seed draws the sample whose maps are checked further.

    None where photos may have several labels: what hiding changes is measured on the one class that was predicted.
    """
    if model.config.multi_label:
        return None
    drawn = np.random.default_rng(recipe.seed).permutation(photos)[: recipe.explain.checks].tolist()
    network = model.network.to(model.device)
    forgetful = randomised(network, prefix="pooling.", seed=recipe.seed) if drawn else None
    return Hiding(seed=recipe.seed, sample=frozenset(drawn), forgetful=forgetful)


def stack_hidden(hidden: Sequence[HiddenMaps]) -> dict[str, np.ndarray]:
    """The arrays of all photos by the names of their fields in `AttentionMaps`; none where nothing was hidden."""
    names = ("evidence", "evidence_classes", "deletion", "insertion", "class_looks")
    found = {name: [getattr(one, name) for one in hidden] for name in names}
    return {name: np.stack(arrays) for name, arrays in found.items() if arrays and arrays[0] is not None}


def hide_batch(
    network: Network,
    tokens: Tensor,
    attended: Attended,
    *,
    looks: np.ndarray,
    ranked: Tensor,
    indices: Sequence[int],
    config: ModelConfig,
    hiding: Hiding,
) -> list[HiddenMaps]:
    """What hiding gives of each photo of the batch with these `tokens`, which `network` saw as `attended`.

    `looks` (B, h, w) are of the predicted classes, `ranked` (B, k) the most probable classes of each photo, `indices`
    the photos' places in the list.
    """
    if hiding.labels:
        known = {name: place for place, name in enumerate(config.classes)}
        labels = [known.get(hiding.labels[index], -1) for index in indices]
        ranked = with_labels(ranked, torch.tensor(labels, device=ranked.device))
    maps = evidence_maps(network, attended, ranked).cpu().numpy()
    classes = ranked.cpu().numpy()
    seeds = [(hiding.seed, index) for index in indices]
    tests = run_hiding_tests(
        network,
        attended.weights,
        attended.values,
        looks=looks,
        temperature=config.temperature,
        seeds=seeds,
    )
    class_looks = None
    if attended.weights.shape[1] > 1:  # a token, and so a look, for every class
        own = attended.weights.gather(1, ranked[:, :, None].expand(-1, -1, attended.weights.shape[2]))
        class_looks = look_maps(own.float().cpu().numpy(), attended.grid)  # (B, k, h, w)
    patches = looks[0].size
    reweighed = (even_weights(attended.weights, patches), permuted_weights(attended.weights, patches, seeds=seeds))
    even, permuted = (network.tail(one @ attended.values).argmax(dim=1).tolist() for one in reweighed)
    rows = [row for row, index in enumerate(indices) if index in hiding.sample]
    forgotten = {}
    if rows and hiding.forgetful is not None:
        seen = cast("Network", hiding.forgetful).attend_tokens(tokens[rows], values=False)
        weights = choose_weights(seen.weights.float().cpu().numpy(), classes[rows, 0].tolist())
        forgotten = dict(zip(rows, look_maps(weights, seen.grid), strict=True))
    return [
        HiddenMaps(
            numbers=hiding_numbers(
                left,
                classes[row, 0],
                look=looks[row],
                evidence=maps[row, 0],
                classes=config.classes,
            ),
            evidence=maps[row],
            evidence_classes=classes[row],
            deletion=left[:STEPS, classes[row, 0]].astype(np.float32),
            insertion=left[STEPS : 2 * STEPS, classes[row, 0]].astype(np.float32),
            class_looks=None if class_looks is None else class_looks[row],
            even=config.classes[even[row]],
            permuted=config.classes[permuted[row]],
            forgotten=forgotten.get(row),
        )
        for row, left in enumerate(tests)
    ]
