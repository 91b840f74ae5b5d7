"""What the validation part taught a model about its own confidence; it travels in the model's config."""

from dataclasses import dataclass


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

    Raises:
        ValueError: the threshold is no probability.
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

    Raises:
        ValueError: the threshold is no probability.
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

    It comes from `photos` validation photos that the temperature never saw, and is None where they are too few.

    Raises:
        ValueError: the level or the probability is none.
    """

    level: float
    photos: int
    least_probability: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.level < 1 or not 0 <= (self.least_probability or 0) <= 1:
            raise ValueError(f"no such conformal sets are possible: {self}")
