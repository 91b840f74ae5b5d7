"""What cross-validation answered."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class FoldAnswer:
    """One photo's probabilities by a probe that learned from none of its `fold`, in the order of the model's classes.

    Folds are numbered from 1 on.
    """

    file: str
    label: str
    fold: int
    predicted: str
    probabilities: tuple[float, ...]
