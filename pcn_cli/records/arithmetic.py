"""In which numbers and by what a network computes, and how much its answers hang on that."""

from dataclasses import dataclass
from typing import Literal

Precision = Literal["float32", "bfloat16"]
AutocastPrecision = Literal["float32", "float16", "bfloat16"]
Engine = Literal["torch", "openvino"]


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How a network answers in bfloat16, beside its answers in float32 to the same validation photos.

    `same` of the `photos` got the same answer, or one that float32 holds for equally good; `correlation` is that of the
    maps (Spearman's, in the mean), None where all are level.
    """

    photos: int
    same: int
    correlation: float | None = None

    @property
    def suffices(self) -> bool:
        """Whether bfloat16 may answer in the place of float32."""
        alike = self.correlation is None or self.correlation >= 0.99
        return self.photos > 0 and self.same >= 0.99 * self.photos and alike
