"""Does the decision hang on what the map shows? Patches are hidden in its order, and the probability is watched.

Deletion hides the most looked-at patches first, insertion keeps them alone; both are curves over the shares 0, 0.05 … 1
of the patches, and their areas are RISE's (Petsiuk et al. 2018, arXiv:1806.07421). SRG, symmetric relevance gain
(Blücher et al. 2024, arXiv:2401.06654), is the deletion area with the least looked-at first less that with the most
looked-at first; hiding from the least on is keeping the most, so it is insertion less deletion. A random order has an
SRG of 0 on average and none need be followed: turned round it is as likely, and the SRG changes its sign.
Comprehensiveness and sufficiency are ERASER's (DeYoung et al. 2020), for the patches that hold half of the look.

Beside the map itself stand its controls: other weights in the place of the pooling's own (Jain and Wallace 2019,
arXiv:1902.10186), patches hidden in the pixels rather than in the pooling, and networks that have forgotten what they
learned (the parameter randomisation of Adebayo et al. 2018, arXiv:1810.03292).
"""

import copy
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from pcn_cli.attention.evidence import logits_without
from pcn_cli.attention.geometry import map_to_photo, whole_input
from pcn_cli.attention.maps import mass_fraction
from pcn_cli.records.model import PatchGrid
from pcn_cli.records.predictions import HidingNumbers
from pcn_cli.tensors.network import Network

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Sets = NDArray[np.bool_]  # (…, N), True for a patch that is hidden
STEPS = 21


def run_hiding_tests(
    network: Network,
    weights: Tensor,
    values: Tensor,
    *,
    looks: Floats,
    temperature: float,
    seeds: Sequence[tuple[int, int]],
) -> Floats:
    """The probabilities (B, 2 · 21 + 3, K) that hiding leaves of B pictures, in the order of their looks (B, h, w).

    The steps of deletion stand before those of insertion, then S50 hidden, S50 kept, and as many random patches hidden.
    `weights` and `values` are as in `Attended` of this network; a picture's random patches depend on its seed alone.
    """
    flat = looks.reshape(len(looks), -1)
    ranks = rank_patches(flat)
    half = np.array([half_count(look) for look in flat])[:, None]
    drawn = np.stack([draw_orders(seed, flat.shape[1], count=1)[0] for seed in seeds])
    facts = np.stack([ranks < half, ranks >= half, drawn < half], axis=1)
    sets = np.concatenate([curve_sets(ranks[:, None]), facts], axis=1)
    return _probabilities(network, weights, values, sets, temperature)


def hiding_numbers(
    left: Floats,
    predicted: int,
    *,
    look: Floats,
    evidence: Floats,
    classes: Sequence[str],
) -> HidingNumbers:
    """The numbers of one picture's test (2 · 21 + 3, K); look and evidence (h, w) are those of the predicted class."""
    own, best = left[:, predicted], left.argmax(axis=1)
    hidden, kept, random_hidden = range(2 * STEPS, 2 * STEPS + 3)
    deletion, insertion = float(area_under(own[:STEPS])), float(area_under(own[STEPS : 2 * STEPS]))
    changed = np.flatnonzero(best[:STEPS] != best[0])
    return HidingNumbers(
        deletion_auc=deletion,
        insertion_auc=insertion,
        srg=insertion - deletion,
        comprehensiveness=float(own[0] - own[hidden]),
        sufficiency=float(own[0] - own[kept]),
        flip_fraction=float(changed[0] / (STEPS - 1)) if changed.size else None,
        look_evidence_spearman=rank_correlation(look, evidence),
        hidden_top=classes[best[hidden]],
        hidden_p=float(left[hidden].max()),
        kept_p=float(own[kept]),
        random_hidden_p=float(own[random_hidden]),
    )


def area_under(curves: Floats) -> Floats:
    """(Σ − ½ first − ½ last) / (n − 1) of curves (…, n)."""
    return np.asarray((curves.sum(axis=-1) - (curves[..., 0] + curves[..., -1]) / 2) / (curves.shape[-1] - 1))


def rank_correlation(one: NDArray[np.floating], other: NDArray[np.floating]) -> float | None:
    """Spearman's correlation of two maps; None where one of them is level."""
    from scipy.stats import spearmanr  # half a second, which a plain prediction need not wait for

    level = np.ptp(one) == 0 or np.ptp(other) == 0
    return None if level else float(spearmanr(one, other, axis=None).statistic)


def rank_patches(values: Floats) -> Integers:
    """The place of each patch (…, N) in falling order, 0 for the highest; equal ones in reading order."""
    return np.asarray(np.argsort(np.argsort(-values, axis=-1, kind="stable"), axis=-1, kind="stable"))


def half_count(look: Floats) -> int:
    """How many patches S50 has: the fewest that hold half of the look."""
    return round(mass_fraction(look, 0.5) * look.size)


def draw_orders(seed: tuple[int, int], patches: int, *, count: int) -> Integers:
    """Random ranks (count, N); the first are the same however many are drawn."""
    rng = np.random.default_rng(seed)
    return np.stack([rng.permutation(patches) for _ in range(count)])


def curve_sets(ranks: Integers) -> Sets:
    """The sets of both curves for orders (B, O, N): (B, O · 2 · 21, N), each order's deletion before its insertion."""
    patches = ranks.shape[-1]
    counts = np.rint(np.linspace(0, 1, STEPS) * patches)[:, None]
    deletion, insertion = ranks[:, :, None] < counts, ranks[:, :, None] >= counts  # (B, O, 21, N)
    return np.stack([deletion, insertion], axis=2).reshape(len(ranks), -1, patches)


def even_weights(weights: Tensor, patches: int) -> Tensor:
    """The weights with the patches' part shared evenly; the class token keeps its own."""
    own, rest = weights[..., :-patches], weights[..., -patches:]
    return torch.cat([own, rest.mean(-1, keepdim=True).expand_as(rest)], dim=-1)


def permuted_weights(weights: Tensor, patches: int, *, seeds: Sequence[tuple[int, int]]) -> Tensor:
    """The weights with those of the patches at random places, a picture's tokens all in the same way."""
    orders = np.stack([np.random.default_rng(seed).permutation(patches) for seed in seeds])
    places = torch.from_numpy(orders).to(weights.device)[:, None].expand(-1, weights.shape[1], -1)
    return torch.cat([weights[..., :-patches], weights[..., -patches:].gather(2, places)], dim=-1)


def blur_patches(images: Tensor, hidden: NDArray[np.bool_], *, patch_grid: PatchGrid) -> Tensor:
    """The images (B, 3, H, W) with the pixels of hidden patches (B, h, w) blurred.

    A pixel belongs to the patch whose centre is nearest.
    """
    height, width = images.shape[2:]
    whole, size = whole_input(width, height), (width, height)
    laid = [map_to_photo(one, patch_grid=patch_grid, placement=whole, size=size, smooth=False).values for one in hidden]
    masks = torch.from_numpy(np.stack(laid) > 0.5).to(images.device)[:, None]
    coarse = F.adaptive_avg_pool2d(images, hidden.shape[1:])
    blurred = F.interpolate(coarse, size=(height, width), mode="bilinear", align_corners=False)
    return torch.where(masks, blurred, images)


def randomised(network: nn.Module, *, prefix: str = "", seed: int) -> nn.Module:
    """A copy in which the numbers of every parameter are shuffled, or of those alone whose names start with `prefix`.

    What is not shuffled it shares with `network`. Shuffled rather than drawn anew, the numbers keep their size: nothing
    overflows in deep networks with frozen statistics.
    A ValueError where no name starts so.
    """
    own = {name for name, _ in network.named_parameters() if name.startswith(prefix)}
    if not own:
        raise ValueError(f"no parameter starts with {prefix!r}")
    shared = {id(one): one for name, one in network.state_dict(keep_vars=True).items() if name not in own}
    forgetful = copy.deepcopy(network, shared)
    generator = torch.Generator().manual_seed(seed)
    chosen = [parameter for name, parameter in forgetful.named_parameters() if name in own]
    with torch.no_grad():
        for parameter in chosen:
            order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))
    return forgetful


def _probabilities(network: Network, weights: Tensor, values: Tensor, hidden: Sets, temperature: float) -> Floats:
    logits = logits_without(network, weights, values, hidden=torch.from_numpy(hidden).to(weights.device))
    return np.asarray(torch.softmax(logits.cpu().double() / temperature, dim=2))  # (B, S, K)
