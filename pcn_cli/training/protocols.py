"""What training asks of a network and of a source of batches; nothing here knows photos or architectures."""

from collections.abc import Collection, Iterable, Iterator
from typing import Any, Protocol

from torch import Tensor, nn


class Network(Protocol):
    """A network made of a trunk, which turns images into tokens, and a pooling with its head behind the tokens."""

    @property
    def pooling_prefixes(self) -> tuple[str, ...]:
        """Parameter-name prefixes of everything behind the tokens."""
        ...

    def forward_features(self, images: Tensor) -> Tensor:
        """Tokens (B, C, h, w) of images (B, 3, H, W)."""
        ...

    def forward_head(self, tokens: Tensor, pre_logits: bool = False) -> Tensor:
        """Logits (B, K) of tokens (B, C, h, w)."""
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


class Batch(Protocol):
    """Some samples: images (B, …) float32, targets int64, indices (B,) int64 of the samples in their list."""

    @property
    def images(self) -> Tensor:
        """What the network gets."""
        ...

    @property
    def targets(self) -> Tensor:
        """Class numbers (B,); or (B, K), 1 where the sample has the class, else 0."""
        ...

    @property
    def indices(self) -> Tensor:
        """Places in the list of samples."""
        ...


class Batches(Protocol):
    """Batches in an order that depends on the epoch alone."""

    def __len__(self) -> int:
        """Batches per epoch."""
        ...

    def batches(self, epoch: int = 0, *, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from number `start` on."""
        ...
