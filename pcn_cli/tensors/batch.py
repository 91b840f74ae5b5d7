"""Batches: what a loader of photos or a cache of tokens gives, and a network learns from."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class Batch(NamedTuple):
    """Samples that go through the network together.

    Attributes:
        images: (B, 3, H, W) float32, or tokens (B, C, h, w) in their place; channels-last in memory.
        targets: class numbers (B,) int64; or (B, K), 1 where the sample has the class, else 0.
        indices: (B,) int64, places in the list of samples.
        sizes: (B, 2) int64, width and height of the upright photos in pixels; empty for tokens.
        unreadable: (index, reason) of photos that belong here and could not be opened.
    """

    images: Tensor
    targets: Tensor
    indices: Tensor
    sizes: Tensor = torch.empty((0, 2), dtype=torch.int64)
    unreadable: Sequence[tuple[int, str]] = ()


class Batches(Protocol):
    """Batches in an order that depends on the epoch alone."""

    def __len__(self) -> int:
        """Batches per epoch."""
        ...

    def batches(self, epoch: int = 0, *, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from number `start` on."""
        ...
