"""Two models on the same photos: how far their numbers differ, and whether that could be chance.

The photos of a resample are the same for both models, so what makes a photo easy or hard for both cancels out.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from pcn_cli.metrics.inputs import Answers
from pcn_cli.metrics.intervals import Floats, bootstrap_weights
from pcn_cli.metrics.measured import photo_losses, with_interval
from pcn_cli.records.evaluation import Difference

LIKELY_CHANCE = 0.05


@dataclass(frozen=True, kw_only=True)
class ComparedRow:
    """One compared metric; `weigh` gives a function from weights (R, n) of the photos to a model's values (R,)."""

    key: str
    title: str
    weigh: Callable[[Answers], Callable[[Floats], Floats]]


def find_differences(first: Answers, second: Answers) -> tuple[Difference, ...]:
    """The compared metrics of two models, whose answers are of the same photos and classes in the same order."""
    return tuple(_difference(row, first, second) for row in COMPARED)


def mcnemar(first: Answers, second: Answers) -> tuple[int, int, float]:
    """How many photos only the first has right, how many only the second, and the exact p-value of McNemar's test."""
    only_first = int((first.right & ~second.right).sum())
    only_second = int((second.right & ~first.right).sum())
    either = only_first + only_second
    return only_first, only_second, float(binomtest(only_second, either).pvalue) if either else 1.0


def tell_verdict(first: str, second: str, *, photos: int, only_first: int, only_second: int, p_value: float) -> str:
    """What the test says, as a sentence; `first` and `second` name the runs."""
    of = f"of {photos:,} photo{'s' * (photos != 1)}"
    if only_first == only_second == 0:
        return f"{of.capitalize()}, {first} and {second} are right on the same."
    chance = "could be chance" if p_value >= LIKELY_CHANCE else "is hardly chance"
    p = f"p = {p_value:.2g}" if p_value >= 0.001 else "p < 0.001"
    if only_first == only_second:
        return f"{first} and {second} are right equally often {of}, each on {only_first:,} that the other misses."
    better, more = (second, only_second - only_first) if only_second > only_first else (first, only_first - only_second)
    return f"{better} is right on {more:,} more {of}; the difference {chance} ({p})."


def _difference(row: ComparedRow, first: Answers, second: Answers) -> Difference:
    one, other = row.weigh(first), row.weigh(second)
    interval = bootstrap_weights(lambda weights: other(weights) - one(weights), first.targets, seed=first.seed)
    everyone = np.ones((1, first.targets.size))
    before, after = float(one(everyone)[0]), float(other(everyone)[0])
    method = f"{row.title} of the second less the first, on the same photos"
    kind = "bias-corrected paired stratified bootstrap"
    return Difference(
        key=row.key,
        title=row.title,
        first=before,
        second=after,
        difference=with_interval(after - before, first, method, interval, kind=kind),
    )


def _weighted_accuracy(answers: Answers) -> Callable[[Floats], Floats]:
    right = answers.right / answers.targets.size
    return lambda weights: np.asarray(weights @ right)


def _weighted_macro_f1(answers: Answers) -> Callable[[Floats], Floats]:
    said = (answers.predicted[:, None] == answers.measured).astype(np.float64)  # (n, classes)
    right = said * answers.right[:, None]
    own = answers.support[answers.measured]
    return lambda weights: np.asarray((2 * (weights @ right) / (own + weights @ said)).mean(axis=1))


def _weighted_log_loss(answers: Answers) -> Callable[[Floats], Floats]:
    losses = photo_losses(answers.own) / answers.targets.size
    return lambda weights: np.asarray(weights @ losses)


COMPARED: tuple[ComparedRow, ...] = (
    ComparedRow(key="accuracy", title="Accuracy", weigh=_weighted_accuracy),
    ComparedRow(key="macro_f1", title="Macro-F1", weigh=_weighted_macro_f1),
    ComparedRow(key="log_loss", title="Log-loss", weigh=_weighted_log_loss),
)
