"""What the rooms ask of a network, which PatchConvNet and every timm backbone with attention pooling offer, and of
the batches that go through it.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pcn_cli.tensors.pixels import Norm, normalise


class Attended(NamedTuple):
    """One forward pass with the inside of the pooling laid open.

    logits (B, K); weights (B, 1, N+1), class token first, or (B, K, N) where each class has its own token; they sum
    to 1; values (B, N+1, d) or (B, N, d) in the order of the weights, or (B, 0, d) where they were not asked for; grid
    (h, w) with h · w = N, row by row.
    """

    logits: Tensor
    weights: Tensor
    values: Tensor
    grid: tuple[int, int]


@runtime_checkable
class Network(Protocol):
    """A trunk, which turns images into tokens, and behind the tokens a pooling that can be looked into, with its head.

    It is an `nn.Module` too, which a Protocol cannot say: `cast("Network", model)` where a module is at hand.
    """

    @property
    def embed_dim(self) -> int:
        """How many numbers the query of the pooling has."""
        ...

    @property
    def class_tokens(self) -> bool:
        """Whether the pooling has a token, and a query, for each class."""
        ...

    @property
    def mirror(self) -> bool:
        """Whether, in evaluation mode, the tokens are the mean of those of an image and of its mirror image."""
        ...

    @property
    def pooling_prefixes(self) -> tuple[str, ...]:
        """Parameter-name prefixes of everything behind the tokens."""
        ...

    @property
    def looks_evenly(self) -> bool:
        """Whether the pooling gives every patch the same weight, so that where it looks says nothing."""
        ...

    def forward_features(self, images: Tensor) -> Tensor:
        """Tokens (B, C, h, w) of normalised images (B, 3, H, W)."""
        ...

    def forward_head(self, tokens: Tensor, pre_logits: bool = False) -> Tensor:
        """Logits (B, K) of tokens (B, C, h, w); with `pre_logits` what the classifier gets."""
        ...

    def shifted_features(self, tokens: Tensor, shift: Tensor) -> Tensor:
        """What the classifier would get (B, F) of tokens (B, C, h, w), were `shift` (d,) added to the one query."""
        ...

    def attend(self, images: Tensor, *, values: bool = True) -> Attended:
        """The forward pass over normalised images (B, 3, H, W); without `values` it costs no more than the logits."""
        ...

    def attend_tokens(self, tokens: Tensor, *, values: bool = True) -> Attended:
        """The rest of the forward pass, from tokens (B, C, h, w) on."""
        ...

    def tail(self, pooled: Tensor) -> Tensor:
        """Logits (…, K) of weighted sums of values (…, T, d), one for each class token."""
        ...

    def class_tail(self, pooled: Tensor, classes: Tensor) -> Tensor:
        """With a token per class, the logits (B, S, k) of `classes` (B, k) for their sums (B, S, k, d) alone."""
        ...

    def get_classifier(self) -> nn.Module:
        """What makes logits of what `forward_head` gives with `pre_logits`."""
        ...

    def compilable(self) -> Iterable[nn.Module]:
        """The parts of the trunk that are worth compiling, each on its own."""
        ...

    def group_matcher(self, coarse: bool = False) -> Any:  # noqa: ANN401 - timm takes patterns or a function
        """How timm orders the parameters from stem to head."""
        ...

    def no_weight_decay(self) -> Collection[str]:
        """Names of parameters that weight decay leaves alone."""
        ...

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Compute activations twice instead of keeping them."""
        ...


class Batch(NamedTuple):
    """Samples that go through the network together.

    Attributes:
        images: (B, 3, H, W) pixels in uint8, or as `inputs` gives them; or tokens (B, C, h, w) in their place; all
            channels-last in memory.
        targets: class numbers (B,) int64; or (B, K), 1 where the sample has the class, else 0.
        indices: (B,) int64, places in the list of samples.
        sizes: (B, 2) int64, width and height of the upright photos in pixels; empty where nobody will ask.
        unreadable: (index, reason) of photos that belong here and could not be opened.
        missing: (index, share) of truncated photos: about which share of its rows each lacks.
        pictures: (index, (H, W, 3) uint8) of vast photos, where they are to be shown as well.
        norm: how pixels are normalised; None where `images` are none.
        windows: (B, 4) int64, left, top, right and bottom of what each photo fills of its pixels; None where it is all.
    """

    images: Tensor
    targets: Tensor
    indices: Tensor
    sizes: Tensor = torch.empty((0, 2), dtype=torch.int64)
    unreadable: Sequence[tuple[int, str]] = ()
    missing: Sequence[tuple[int, float]] = ()
    pictures: Sequence[tuple[int, NDArray[np.uint8]]] = ()
    norm: Norm | None = None
    windows: Tensor | None = None

    def inputs(self, device: torch.device) -> Tensor:
        """What the network takes, on `device`: normalised images (B, 3, H, W) or tokens (B, C, h, w), float32."""
        soon = device.type == "cuda"  # there, from pinned memory, the copy runs beside the work before it
        images = self.images.to(device, non_blocking=soon, memory_format=torch.channels_last)
        if self.norm is None:
            return images
        windows = self.windows.to(device, non_blocking=soon) if self.windows is not None else None
        return normalise(images, self.norm, windows)


class Batches(Protocol):
    """Batches in an order that depends on the epoch alone."""

    def __len__(self) -> int:
        """Batches per epoch."""
        ...

    def batches(self, epoch: int = 0, *, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from number `start` on."""
        ...
