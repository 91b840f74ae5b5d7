"""Conformal sets: split conformal prediction with the LAC score, so that a set holds the label as often as promised.

Sadinle, Lei and Wasserman 2019, arXiv:1609.00451. The promise is an average over calibration and new photos of the same
kind. A set may be empty: then no class is probable enough.
"""

import math

import numpy as np

from pcn_cli.metrics.inputs import Floats, Indices, SingleLabel
from pcn_cli.metrics.intervals import mean, proportion
from pcn_cli.records.metrics import Metric
from pcn_cli.records.model import ConformalLevel

LEVELS = {0.90: 20, 0.95: 40}  # level → fewest calibration photos


def calibrate_sets(probabilities: Floats, targets: Indices) -> tuple[ConformalLevel, ...]:
    """What a class needs to be in the sets of each level: the probability that ⌈(n + 1) · level⌉ of n labels reach.

    The probabilities (n, K) are with the temperature, `targets` (n,) are true classes. The temperature may be that of
    these photos: one number hangs on none of them so much that the sets would hold the label less often.
    """
    falling = np.sort(probabilities[np.arange(targets.size), targets])[::-1]
    count, levels = targets.size, []
    for level, fewest in LEVELS.items():
        rank = math.ceil((count + 1) * level - 1e-9)  # 0.9 · 20 is a little more than 18
        least = float(falling[rank - 1]) if count >= fewest else None
        levels.append(ConformalLevel(level=level, photos=count, least_probability=least))
    return tuple(levels)


def measure_sets(inputs: SingleLabel, level: ConformalLevel) -> dict[str, Metric]:
    """How often the sets of a level hold the label, how large they are and how often empty; {} if not calibrated."""
    if level.least_probability is None:
        return {}
    sizes, n = (inputs.probabilities >= level.least_probability).sum(axis=1).astype(float), inputs.targets.size
    held, empty = int((inputs.own >= level.least_probability).sum()), int((sizes == 0).sum())
    covered = f"share of photos whose {level.level:.0%} set holds the label; calibrated on {level.photos} photos"
    name = f"conformal_{100 * level.level:.0f}"
    return {
        f"{name}_coverage": proportion(held, n, covered),
        f"{name}_set_size": mean(sizes, inputs, "mean number of classes in the set"),
        f"{name}_empty": proportion(empty, n, "share of photos whose set holds no class"),
    }
