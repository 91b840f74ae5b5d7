"""Numbers that say where they come from."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from pcn_cli.records.arithmetic import Agreement, Precision

FEW_PHOTOS = 20  # below, the interval of a share spans about thirty points or more


@dataclass(frozen=True, kw_only=True)
class Words:
    """What is said of a metric: its title as it stands inside a sentence, and how its value is read.

    A share is shown in percent. `shown` names the tables that it stands in: table, card, confidence, folds, pointing,
    baseline or candidates. `hub` is its name on huggingface.co/metrics where that differs from its key.
    """

    title: str = ""
    unit: Literal["share", "number"] = "share"
    better: Literal["higher", "lower", ""] = ""
    shown: tuple[str, ...] = ()
    hub: str = ""
    hub_average: str = ""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A measured value with its 95 % interval where one is known, the number of photos, and how it was computed.

    `words` come from the definition of the metric and stand in no file.
    """

    value: float
    n: int
    method: str
    ci_low: float | None = None
    ci_high: float | None = None
    words: Words = field(default=Words(), compare=False, metadata={"kept": False})

    @property
    def few(self) -> bool:
        """Whether it comes from so few photos that it says little."""
        return self.n < FEW_PHOTOS


@dataclass(frozen=True, kw_only=True)
class ClassRow:
    """One class in the per-class table; precision is None where the class was never predicted."""

    label: str
    precision: float | None
    recall: float | None
    f1: float | None
    average_precision: float | None = None
    support: int

    @property
    def few(self) -> bool:
        """Whether the class has so few photos that its numbers say little."""
        return self.support < FEW_PHOTOS


def weakest_class(rows: Sequence[ClassRow]) -> ClassRow | None:
    """The class of which the smallest share was found; None where no photo was missed.

    Classes with too few photos to tell count only where all are so small.
    """
    enough = [row for row in rows if not row.few] or rows
    missed = [row for row in enough if row.recall is not None and row.recall < 1]
    return min(missed, key=lambda row: (row.recall, row.label), default=None)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something a person should know, with its evidence and what to do about it."""

    severity: str  # "warning" or "note"
    title: str
    evidence: str
    remedy: str = ""


class _Compared:
    """What is compared by accuracy, or where photos have several labels by mean average precision."""

    accuracy: Metric | None
    mean_average_precision: Metric | None

    @property
    def headline(self) -> Metric | None:
        """The figure that was measured of the two."""
        return self.accuracy or self.mean_average_precision


@dataclass(frozen=True, kw_only=True)
class Candidate(_Compared):
    """One of the models that were compared: "logistic regression", "probe" or "tuned".

    `val_macro_f1` was compared to choose, or where it is None `val_log_loss`, after the temperature that suits it. The
    other is of the test part and was measured after the choice: `accuracy`, or where photos have several labels
    `mean_average_precision`. All were measured in `precision`, of which `agreement` says why it may be bfloat16.
    """

    name: str
    val_log_loss: float
    val_macro_f1: float | None = None
    accuracy: Metric | None = None
    mean_average_precision: Metric | None = None
    precision: Precision = "float32"
    agreement: Agreement | None = None
    kept: bool = False


@dataclass(frozen=True, kw_only=True)
class Trunk(_Compared):
    """One of the models that a run was to choose from; `model` is how it was named, `name` what plans call it.

    The figures are those of the logistic regression on its frozen features, on the validation photos: None until it is
    measured, and one of the last two according to how many labels a photo may have.
    """

    model: str
    name: str
    parameters: int
    licence: str = ""
    val_log_loss: float | None = None
    accuracy: Metric | None = None
    mean_average_precision: Metric | None = None
    kept: bool = False

    @property
    def words(self) -> str:
        """Its name, size and licence in a sentence."""
        return f"{self.name} ({self.parameters / 1e6:.1f} M parameters, licence {self.licence or 'unknown'})"


@dataclass(frozen=True, kw_only=True)
class Trunks:
    """The models that a run was to choose from, from the smallest to the largest."""

    ARTIFACT: ClassVar = "trunks.json"
    models: tuple[Trunk, ...]

    @property
    def kept(self) -> Trunk | None:
        """The one that was chosen; None before that."""
        return next((one for one in self.models if one.kept), None)
