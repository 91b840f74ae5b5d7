"""Evidence: by how much hiding each patch lowers the logit of a class; signed, and exact for the pooling.

Hiding is closed form: A(−S) = Σ_{j ∉ S} a_j v_j / Σ_{j ∉ S} a_j, then the network's own tail: the softmax over the keys
that are left. It is (A − Σ_S a_j v_j) / (1 − Σ_S a_j) written as a sum over what is left: nothing cancels where S held
nearly everything. In the pixels it is not the same, for the patches have seen each other before.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from pcn_cli.tensors.network import Attended, Network

TOP = 3  # classes that get a map
_NUMBERS_AT_ONCE = 4_000_000  # of the weighted sums: memory stays small whatever the grid


def rank_classes(logits: Tensor) -> Tensor:
    """The three most probable classes, (B, k), the surest first; fewer where there are fewer classes."""
    return torch.sort(logits, dim=1, descending=True, stable=True).indices[:, :TOP]


def with_labels(ranked: Tensor, labels: Tensor) -> Tensor:
    """The classes (B, k) with the label's own in the last place where it is not among them.

    `labels` (B,) are numbers of classes, −1 where there is none.
    """
    missing = (labels >= 0) & (ranked != labels[:, None]).all(dim=1)
    ranked = ranked.clone()
    ranked[missing, -1] = labels[missing]
    return ranked


def evidence_maps(network: Network, attended: Attended, classes: Tensor) -> Tensor:
    """Δ_{c,j} = logit_c(all) − logit_c(all without j) for `classes` (B, k), as maps (B, k, h, w).

    Positive where the patch speaks for the class. The difference of two classes' maps is their contrast: why the one
    rather than the other.
    """
    height, width = attended.grid
    each_alone = torch.eye(height * width, dtype=torch.bool, device=classes.device).expand(len(classes), -1, -1)
    weights, values = attended.weights, attended.values
    without = class_logits_without(network, weights, values, hidden=each_alone, classes=classes)  # (B, N, k)
    lowered = attended.logits.gather(1, classes)[:, None] - without
    return lowered.transpose(1, 2).reshape(*classes.shape, height, width)


def logits_without(network: Network, weights: Tensor, values: Tensor, *, hidden: Tensor) -> Tensor:
    """The logits (B, S, K) once the patches of each of S sets are hidden.

    The class token's own key, where it has one, is never hidden. Where nothing is left to look at, with class tokens
    and every patch hidden, the weighted sum is 0: the token stays as it was before it looked. `weights` and `values`
    are as in `Attended` of this network, `hidden` (B, S, N) are the patches row by row.
    """
    pieces = torch.split(hidden, _sets_at_once(weights, values), dim=1)
    return torch.cat([network.tail(_pool_without(weights, values, one)) for one in pieces], dim=1)


def class_logits_without(
    network: Network, weights: Tensor, values: Tensor, *, hidden: Tensor, classes: Tensor
) -> Tensor:
    """The logits (B, S, k) of `classes` (B, k) alone, which is cheaper where every class has its own token."""
    if weights.shape[1] == 1:
        logits = logits_without(network, weights, values, hidden=hidden)
        return logits.gather(2, classes[:, None].expand(-1, logits.shape[1], -1))
    own = weights.gather(1, classes[:, :, None].expand(-1, -1, weights.shape[2]))  # (B, k, N)
    pieces = torch.split(hidden, _sets_at_once(own, values), dim=1)
    return torch.cat([network.class_tail(_pool_without(own, values, one), classes) for one in pieces], dim=1)


def _sets_at_once(weights: Tensor, values: Tensor) -> int:
    pictures, tokens = weights.shape[:2]
    return max(1, _NUMBERS_AT_ONCE // (pictures * tokens * values.shape[-1]))


def _pool_without(weights: Tensor, values: Tensor, hidden: Tensor) -> Tensor:
    """The weighted sums (B, S, T, d) over what is left."""
    own = weights.shape[-1] - hidden.shape[-1]  # 1 where the class token is a key
    left = F.pad(hidden.logical_not().to(weights.dtype), (own, 0), value=1.0)  # (B, S, N+1)
    kept = weights[:, None] * left[:, :, None]  # (B, S, T, N+1)
    total = kept.sum(-1, keepdim=True)
    pooled = (kept.flatten(1, 2) @ values).reshape(*kept.shape[:3], -1)
    return torch.where(total > 0, pooled / total, 0.0)
