"""Two models on the same photos: how far their numbers differ, and whether that could be chance.

The photos of a resample are the same for both models, so what makes a photo easy or hard for both cancels out.
"""

from dataclasses import replace

import numpy as np
from scipy.stats import binomtest

from pcn_cli.metrics.definitions import METRICS, Weigh, describe
from pcn_cli.metrics.inputs import SingleLabel
from pcn_cli.metrics.intervals import bootstrap_weights, with_interval
from pcn_cli.records.evaluation import Difference

LIKELY_CHANCE = 0.05


def find_differences(first: SingleLabel, second: SingleLabel) -> tuple[Difference, ...]:
    """The compared metrics of two models, whose answers are of the same photos and classes in the same order."""
    return tuple(_difference(row.key, row.weigh, first, second) for row in METRICS if row.weigh)


def mcnemar(first: SingleLabel, second: SingleLabel) -> tuple[int, int, float]:
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


def _difference(key: str, weigh: Weigh, first: SingleLabel, second: SingleLabel) -> Difference:
    one, other, words = weigh(first), weigh(second), describe(key)
    interval = bootstrap_weights(lambda weights: other(weights) - one(weights), first.strata, seed=first.seed)
    everyone = np.ones((1, first.targets.size))
    before, after = float(one(everyone)[0]), float(other(everyone)[0])
    method = f"{words.title} of the second less the first, on the same photos"
    found = with_interval(after - before, first, method, interval, kind="bias-corrected paired stratified bootstrap")
    return Difference(key=key, title=words.title, first=before, second=after, difference=replace(found, words=words))
