"""What an evaluation gives beside single numbers: curves, checks of the maps, the difference of two runs."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from pcn_cli.records.metrics import Metric
from pcn_cli.records.model import Calibration, ClassThreshold, ConformalLevel, Selection


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A line through (x, y); both have the same length."""

    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Bin:
    """`photos` whose confidence is alike: how sure the model was on average, and how many it got right (a share).

    The 95 % interval of that share is None in older runs.
    """

    confidence: float
    accuracy: float
    photos: int
    ci_low: float | None = None
    ci_high: float | None = None


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


@dataclass(frozen=True, kw_only=True)
class TrustCheck:
    """One check; `values` are in display order, the first is the one measured, the others stand beside it.

    `key` names it for programs: even_look, uniform_attention, permuted_attention, order, parameter_randomisation, flip,
    pixels, pointing, energy, mask_pointing, mask_energy or mask_overlap. `question` is what it asks, `verdict` the
    plain answer; `outcome` is "good" where the maps pass, "bad" where they do not, and "open" where the numbers do not
    tell.
    """

    key: str
    question: str
    outcome: Literal["good", "bad", "open"]
    verdict: str
    values: dict[str, Metric]


@dataclass(frozen=True, kw_only=True)
class Trust:
    """All checks that were made, in display order; those on a sample used `sample` photos drawn from `seed`."""

    ARTIFACT: ClassVar = "trust.json"
    sample: int
    seed: int
    checks: tuple[TrustCheck, ...]


@dataclass(frozen=True, kw_only=True)
class CurveStep:
    """What the regressions reach that learned from a share of the training photos, in the mean.

    `draws` of them learned from `photos` photos each (in the mean), together from all. `figure` is of the test photos,
    as are those of `classes`: the recall of each, or where photos have several labels the average precision.
    """

    draws: int
    photos: int
    figure: Metric
    classes: dict[str, float]

    @property
    def share(self) -> str:
        """The share of the photos, such as 1/8; all."""
        return "all" if self.draws == 1 else f"1/{self.draws}"


@dataclass(frozen=True, kw_only=True)
class ClassGain:
    """What a class, of which there are `photos` test photos, gained from half of the training photos to all."""

    label: str
    half: float
    all: float
    photos: int


@dataclass(frozen=True, kw_only=True)
class LearningCurve:
    """What ever more training photos teach, as the test photos show; `figure` names what is measured.

    `gain` is the figure with all of them less that with half; `most` the class that gained most, where one gained.
    `left_out` are the draws of the shares in which `scarce`, or another class, would have too few photos.
    """

    ARTIFACT: ClassVar = "learning_curve.json"
    figure: Literal["accuracy", "mean_average_precision"]
    steps: tuple[CurveStep, ...]
    gain: Metric
    most: ClassGain | None = None
    left_out: tuple[int, ...] = ()
    scarce: str = ""

    @property
    def told_left_out(self) -> str:
        """Which shares are missing and why; "" where all are there."""
        shares = " and ".join(f"1/{draws}" for draws in reversed(self.left_out))
        return f"without {shares}: too few photos of a class, such as {self.scarce}" if shares else ""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One number of both runs on the photos they share, and the second less the first with its interval."""

    key: str
    title: str
    first: float
    second: float
    difference: Metric


@dataclass(frozen=True, kw_only=True)
class Flip:
    """A photo and what two runs said of it; `right` is which of them alone has the label, "" where neither has."""

    file: str
    label: str
    first: str
    second: str
    right: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two runs on the `photos` test photos that both have; `first` and `second` are the runs' folders.

    `only_first` and `only_second` count test photos of one run that the other did not measure; `first_right` and
    `second_right` photos that this run alone has right, `p_value` is McNemar's for these two being equally likely.
    `flips` are the photos that the runs answer differently, `still_wrong` those that both take for one wrong class.
    """

    first: str
    second: str
    photos: int
    only_first: int
    only_second: int
    differences: tuple[Difference, ...]
    first_right: int
    second_right: int
    p_value: float
    verdict: str
    flips: tuple[Flip, ...]
    still_wrong: tuple[Flip, ...] = ()
