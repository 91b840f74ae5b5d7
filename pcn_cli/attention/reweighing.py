"""Other weights in the place of the pooling's own: is it where the network looks that gives the answer?

The class token keeps its own share; the patches share the rest evenly, or with their weights at random places. Both
need no second pass (Jain and Wallace 2019, arXiv:1902.10186, ask it this way).
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pcn_cli.tensors.network import Network


def logits_reweighed(network: Network, weights: Tensor, values: Tensor) -> Tensor:
    """The logits (B, K) with these weights (B, T, N+1) or (B, T, N) instead of the network's own."""
    return network.tail(weights @ values)


def even_weights(weights: Tensor, patches: int) -> Tensor:
    """The weights with the patches' part shared evenly."""
    own, rest = weights[..., :-patches], weights[..., -patches:]
    return torch.cat([own, rest.mean(-1, keepdim=True).expand_as(rest)], dim=-1)


def permuted_weights(weights: Tensor, patches: int, *, seeds: Sequence[tuple[int, int]]) -> Tensor:
    """The weights with those of the patches at random places, a picture's tokens all in the same way."""
    orders = np.stack([np.random.default_rng(seed).permutation(patches) for seed in seeds])
    places = torch.from_numpy(orders).to(weights.device)[:, None].expand(-1, weights.shape[1], -1)
    return torch.cat([weights[..., :-patches], weights[..., -patches:].gather(2, places)], dim=-1)
