"""Evidence: by how much hiding each patch lowers the logit of a class; signed, and exact for the pooling."""

import torch
from torch import Tensor

from pcn_cli.attention.hiding import class_logits_without
from pcn_cli.tensors.network import Attended, Network

TOP = 3  # classes that get a map


def rank_classes(logits: Tensor, *, top: int = TOP) -> Tensor:
    """The `top` most probable classes, (B, k), the surest first; fewer where there are fewer classes."""
    return torch.sort(logits, dim=1, descending=True, stable=True).indices[:, :top]


def evidence_maps(network: Network, attended: Attended, classes: Tensor) -> Tensor:
    """Δ_{c,j} = logit_c(all) − logit_c(all without j) for `classes` (B, k), as maps (B, k, h, w).

    Positive where the patch speaks for the class. The difference of two classes' maps is their contrast: why the one
    rather than the other.
    """
    height, width = attended.grid
    each_alone = torch.eye(height * width, dtype=torch.bool, device=classes.device).expand(len(classes), -1, -1)
    without = class_logits_without(
        network, attended.weights, attended.values, hidden=each_alone, classes=classes
    )  # (B, N, k)
    lowered = attended.logits.gather(1, classes)[:, None] - without
    return lowered.transpose(1, 2).reshape(*classes.shape, height, width)
