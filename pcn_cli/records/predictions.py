"""One picture's scores and the numbers of its attention map."""

from dataclasses import dataclass, fields


@dataclass(frozen=True, kw_only=True)
class AttentionNumbers:
    """What one pooling map says, in numbers (definitions: attention/maps.py).

    All are shares in [0, 1] except `effective_patches` (1 … N), `border_share` (1 = an even share) and the two places
    in pixels of the original upright picture.
    """

    image_share: float
    effective_patches: float
    gini: float
    mass50: float
    mass80: float
    border_share: float
    peak_x: float
    peak_y: float
    center_x: float
    center_y: float

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The column names, in order."""
        return tuple(field.name for field in fields(cls))


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What the model says of one photo; `probabilities` are in the order of the model's classes."""

    file: str
    predicted: str
    confidence: float
    probabilities: tuple[float, ...]
    attention: AttentionNumbers
    split: str = ""
    label: str = ""

    @property
    def correct(self) -> bool | None:
        """Whether the prediction is the label; None where there is no label."""
        return self.predicted == self.label if self.label else None
