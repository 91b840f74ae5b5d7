"""Curves and bins behind the numbers, for charts."""

from dataclasses import dataclass, field

from pcn_cli.records.calibration import Calibration, ClassThreshold, ConformalLevel, Selection


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A line through (x, y); both have the same length."""

    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Bin:
    """`photos` whose confidence is alike: how sure the model was on average, and how many it got right (a share)."""

    confidence: float
    accuracy: float
    photos: int


@dataclass(frozen=True, kw_only=True)
class Curves:
    """What curves.json holds.

    `roc` has the false positive rate in x and the true positive rate in y, `precision_recall` recall and precision,
    both by class; `coverage` the share of photos answered and the accuracy on those, the surest first; `before` and
    `after` are reliability bins without and with the temperature; the rest is what the model's config says of it.
    Where photos have several labels there is no coverage, and a bin holds decisions: one photo and one class.
    """

    coverage: Curve | None = None
    before: tuple[Bin, ...]
    after: tuple[Bin, ...]
    roc: dict[str, Curve] = field(default_factory=dict)
    precision_recall: dict[str, Curve] = field(default_factory=dict)
    temperature: float = 1.0
    calibration: Calibration | None = None
    selection: Selection | None = None
    conformal: tuple[ConformalLevel, ...] = ()
    thresholds: tuple[ClassThreshold, ...] = ()
