"""Small parts of networks that timm has as well: a network made of these alone does not wait until timm is imported."""

import math

import torch
from torch import Tensor, nn


class SqueezeExcite(nn.Module):
    """Each channel of x (B, C, h, w) times a gate between 0 and 1, which all channels' means decide.

    Hu et al. 2018, arXiv:1709.01507, with a quarter of the channels in between.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_reduce = nn.Conv2d(channels, round(channels / 4), 1)
        self.conv_expand = nn.Conv2d(round(channels / 4), channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """The gated channels."""
        gate: Tensor = self.conv_expand(self.conv_reduce(x.mean(dim=(2, 3), keepdim=True)).relu())
        return x * gate.sigmoid()


class DropPath(nn.Module):
    """In training, a branch x (B, …) left out of a sample with probability `drop_prob`, and scaled up where it stays.

    Stochastic depth: Huang et al. 2016, arXiv:1603.09382.
    """

    def __init__(self, drop_prob: float) -> None:
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x: Tensor) -> Tensor:
        """The branch; as it is outside of training."""
        if not self.training:
            return x
        keep = 1 - self.drop_prob
        stays = x.new_empty(x.shape[0], *(1,) * (x.ndim - 1)).bernoulli_(keep)
        return x * stays.div_(keep)

    def extra_repr(self) -> str:
        """What its representation tells."""
        return f"drop_prob={self.drop_prob:g}"


@torch.no_grad()
def trunc_normal_(tensor: Tensor, *, std: float, a: float = -2.0, b: float = 2.0) -> Tensor:
    """`tensor` drawn anew from a normal distribution of that `std`, cut off below `a` and above `b`.

    By the inverse of its distribution function, with one number of the stream for each of the tensor. torch's own draws
    others, by versions, and what a seed gave must come again.
    """
    low, high = (math.erf(limit / (std * math.sqrt(2))) for limit in (a, b))
    return tensor.uniform_(low, high).erfinv_().mul_(std * math.sqrt(2)).clamp_(a, b)
