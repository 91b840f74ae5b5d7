"""Reliability: decisions in groups that are alike sure, and how far apart confidence and accuracy of these lie."""

import numpy as np

from pcn_cli.metrics.inputs import Floats, Truths
from pcn_cli.metrics.intervals import wilson
from pcn_cli.records.evaluation import Bin

BINS = 15


def reliability(confidences: Floats, right: Truths, *, least: int = 1) -> tuple[Bin, ...]:
    """At most 15 bins of equally many decisions (n,), the least sure first, by how probable and how right each was.

    Each has at least `least` of them, where there are so many: a share of fewer is a matter of chance.
    """
    count = max(1, min(BINS, confidences.size // least))
    parts = np.array_split(np.argsort(confidences, kind="stable"), count)
    return tuple(_summarise(confidences[part], right[part]) for part in parts)


def _summarise(confidences: Floats, right: Truths) -> Bin:
    """One bin of these decisions (n,)."""
    low, high = wilson(int(right.sum()), right.size)
    return Bin(
        confidence=float(confidences.mean()), accuracy=float(right.mean()), photos=right.size, ci_low=low, ci_high=high
    )


def expected_calibration_error(bins: tuple[Bin, ...]) -> float:
    """The mean over photos of how far confidence and accuracy of their bin lie apart."""
    total = sum(one.photos for one in bins)
    return sum(one.photos * abs(one.confidence - one.accuracy) for one in bins) / total
