"""What the maps need of a network; PatchConvNet and every augmented timm backbone satisfy it."""

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Attended(Protocol):
    """One pass with the inside of the pooling laid open."""

    @property
    def logits(self) -> Tensor:
        """(B, K)."""
        ...

    @property
    def weights(self) -> Tensor:
        """(B, 1, N+1) with the class token first, or (B, K, N) where each class has a token of its own."""
        ...

    @property
    def values(self) -> Tensor:
        """(B, N+1, d) or (B, N, d), in the order of the weights."""
        ...

    @property
    def grid(self) -> tuple[int, int]:
        """(h, w) with h * w = N, patches row by row."""
        ...


@runtime_checkable
class Attends(Protocol):
    """A network whose pooling can be looked into."""

    def attend(self, images: Tensor) -> Attended:
        """The pass over (B, 3, H, W) normalised images."""
        ...

    def tail(self, pooled: Tensor) -> Tensor:
        """The logits (…, K) for weighted sums of values (…, T, d), one for each class token."""
        ...


@runtime_checkable
class AttendsByClass(Attends, Protocol):
    """A network with a token per class: the logit of a class needs its own token alone."""

    def class_tail(self, pooled: Tensor, classes: Tensor) -> Tensor:
        """The logits (B, S, k) of `classes` (B, k) for the weighted sums (B, S, k, d) of their tokens."""
        ...
