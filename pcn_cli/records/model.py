"""What a model folder says about itself beside its weights."""

from dataclasses import dataclass, field
from typing import Any, Literal

from pcn_cli.records.calibration import Calibration, ClassThreshold, ConformalLevel, Selection
from pcn_cli.records.labels import SEPARATOR
from pcn_cli.records.preprocessing import Preprocessing

# One class token for all classes, or one for each.
Pooling = Literal["single", "per-class"]


@dataclass(frozen=True, kw_only=True)
class PatchGrid:
    """Where the patches of a network lie: patch (r, c) is centred at (offset + c * stride, offset + r * stride).

    Units are pixels of the network's input in continuous coordinates (the first pixel's centre is 0.5).
    """

    stride: float = 16.0
    offset: float = 0.5


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The facts of a model: enough to build the same network again and to read its outputs.

    `architecture` and `model_args` are timm's words; `classes` are in the order of the logits; probabilities are
    softmax(logits / temperature), or sigmoid with `multi_label`, where a photo has every class that reaches its own of
    the `thresholds` (0.5 before they are chosen). `calibration` says how the temperature was found, `selection` when
    the answer is "unknown", `conformal` which classes a set holds; they are missing where nothing was calibrated.

    Raises:
        ValueError: a class stands twice, the temperature is not positive, the thresholds are not of the classes, or a
            class cannot be one of several labels.
    """

    architecture: str
    model_args: dict[str, Any] = field(default_factory=dict)
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    patch_grid: PatchGrid = PatchGrid()
    temperature: float = 1.0
    calibration: Calibration | None = None
    selection: Selection | None = None
    conformal: tuple[ConformalLevel, ...] = ()
    multi_label: bool = False
    thresholds: tuple[ClassThreshold, ...] = ()
    card: str = ""
    licence: str = ""

    def __post_init__(self) -> None:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("a class stands twice in the model's list")
        if self.temperature <= 0:
            raise ValueError(f"the temperature should be positive, found {self.temperature}")
        if self.thresholds and tuple(one.label for one in self.thresholds) != self.classes:
            raise ValueError("the thresholds are not those of the classes")
        if self.multi_label and any(SEPARATOR in name for name in self.classes):
            raise ValueError(f"a class holds {SEPARATOR!r}, which stands between several labels")

    @property
    def cuts(self) -> tuple[float, ...]:
        """The probability from which on a photo gets each class, in the order of the classes."""
        return tuple(one.threshold for one in self.thresholds) or (0.5,) * len(self.classes)

    def withholds(self, confidence: float) -> bool | None:
        """Whether an answer of this confidence is "unknown"; None where the model has no threshold."""
        if self.selection is None or self.selection.threshold is None:
            return None
        return self.selection.declines(confidence)
