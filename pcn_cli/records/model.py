"""What a model folder says about itself beside its weights, and what the cache remembers of a weight file.

Calibration is what the validation part taught a model about its own confidence; it travels in the model's config.
"""

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from pcn_cli.records.arithmetic import Agreement, Precision
from pcn_cli.records.photos import SEPARATOR, Fit

LARGEST_SIDE = 4096  # pixels of a network's input
LARGEST_DRAFT = 8


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """Exact evaluation preprocessing; it travels with the model.

    `crop`: the shorter side is resized to int(size / crop_pct), then a centred size × size square is cut out.
    `pad`: the longer side is resized to size, the rest is filled with the mean colour. `squash`: both sides become
    size. `height` and `width` are the network's input in pixels. A large JPEG is decoded at the smallest fraction (1/2,
    1/4, 1/8) that has at least `draft` times the pixels each way that it is then resized to; 0: always in full.
    """

    height: int
    width: int
    fit: Fit = "crop"
    crop_pct: float = 0.875
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    draft: int = 0

    def __post_init__(self) -> None:
        sides, numbers = (self.height, self.width), (self.crop_pct, *self.mean, *self.std)
        if not all(1 <= side <= LARGEST_SIDE for side in sides) or not all(map(math.isfinite, numbers)):
            raise ValueError(f"no such preprocessing is possible: {self}")
        if not 0 < self.crop_pct <= 1 or min(self.std) <= 0 or not 0 <= self.draft <= LARGEST_DRAFT:
            raise ValueError(f"no such preprocessing is possible: {self}")


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where the network's input lies on the original upright picture.

    `box` is (left, top, right, bottom) in pixels of the original, as continuous coordinates (pixel i covers [i, i+1]);
    it reaches outside the picture where the input was padded. Input x maps to left + x * (right - left) / input_width.
    """

    width: int
    height: int
    input_width: int
    input_height: int
    box: tuple[float, float, float, float]


# One class token for all classes, or one for each.
Pooling = Literal["single", "per-class"]


@dataclass(frozen=True, kw_only=True)
class PatchGrid:
    """Where the patches of a network lie: patch (r, c) is centred at (left + c * stride, offset + r * stride).

    Units are pixels of the network's input in continuous coordinates (the first pixel's centre is 0.5). `offset_x` is
    there where columns begin elsewhere than rows.
    """

    stride: float = 16.0
    offset: float = 0.5
    offset_x: float | None = None

    @property
    def left(self) -> float:
        """Where the first column is centred."""
        return self.offset if self.offset_x is None else self.offset_x


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How the temperature was found: on `photos` of the validation part, whose log-loss it took from before to after.

    `photos` is 0 where the part's `validation_photos` were too few; the temperature is then 1.
    """

    validation_photos: int
    photos: int
    log_loss_before: float | None = None
    log_loss_after: float | None = None


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The confidence below which the answer is "unknown", so that those given are right as often as `target` says.

    Of `photos` validation photos `answered` reach the threshold and `right` of those are right. The threshold is None
    where none reaches the target.
    """

    target: float
    photos: int
    threshold: float | None = None
    answered: int = 0
    right: int = 0

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise ValueError(f"expected a threshold from 0 to 1, found {self.threshold}")

    def declines(self, confidence: float) -> bool:
        """Whether an answer of this confidence is withheld."""
        return self.threshold is not None and confidence < self.threshold


@dataclass(frozen=True, kw_only=True)
class ClassThreshold:
    """The probability from which on a photo gets the class `label`, where photos may have several.

    It gave the best F1, `f1`, on the validation photos, `photos` of which have the class. Without any it is 0.5.
    """

    label: str
    threshold: float = 0.5
    photos: int = 0
    f1: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"expected a threshold from 0 to 1, found {self.threshold}")


@dataclass(frozen=True, kw_only=True)
class ConformalLevel:
    """The sets that hold the label with probability `level`: every class that is at least `least_probability` probable.

    It comes from `photos` validation photos, and is None where they are too few.
    """

    level: float
    photos: int
    least_probability: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.level < 1 or not 0 <= (self.least_probability or 0) <= 1:
            raise ValueError(f"no such conformal sets are possible: {self}")


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The facts of a model: enough to build the same network again and to read its outputs.

    `architecture` and `model_args` are timm's words; `classes` are in the order of the logits; probabilities are
    softmax(logits / temperature), or sigmoid with `multi_label`, where a photo has every class that reaches its own of
    the `thresholds` (0.5 before they are chosen). `calibration` says how the temperature was found, `selection` when
    the answer is "unknown", `conformal` which classes a set holds; they are missing where nothing was calibrated.
    `precision` is that of the trunk when all this was measured, `agreement` why it may be bfloat16.

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
    precision: Precision = "float32"
    agreement: Agreement | None = None
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
        chosen = self.selection
        return None if chosen is None or chosen.threshold is None else chosen.declines(confidence)


@dataclass(frozen=True, kw_only=True)
class ReplayPhoto:
    """One validation photo: its path below the photos folder, its bytes, their SHA-256, and its probabilities."""

    file: str
    bytes: int
    sha256: str
    scores: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Replay:
    """What the network said when it was saved, on the CPU in float32.

    `classes` names the columns of all scores, `weights_sha256` the file of weights, `synthetic_seed` the picture that
    can always be made again, `synthetic_scores` its probabilities.
    """

    weights_sha256: str
    classes: tuple[str, ...]
    photos: tuple[ReplayPhoto, ...]
    synthetic_seed: int
    synthetic_scores: tuple[float, ...]

    def __post_init__(self) -> None:
        rows = [self.synthetic_scores, *(photo.scores for photo in self.photos)]
        if any(len(scores) != len(self.classes) for scores in rows):
            raise ValueError(f"expected {len(self.classes)} scores for each picture")


@dataclass(frozen=True, kw_only=True)
class WeightRecord:
    """Where stored weights came from and what they must hash to.

    `source` is a url or a file's path, `source_sha256` and `source_bytes` are of the `.pth` as it arrived,
    `weights_sha256` is of the safetensors beside this record. `etag` and `modified` are the server's words, to ask
    later whether the file is still the same.
    """

    card: str  # full name; empty for a file imported without a card
    network: str  # what the tensors make up, e.g. "s60"
    num_classes: int
    source: str
    source_sha256: str
    source_bytes: int
    weights_sha256: str
    recorded: str  # ISO 8601, UTC
    etag: str = ""
    modified: str = ""
