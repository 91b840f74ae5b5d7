"""What is worth labelling first: what the model is unsure of or never saw, is like many others, and not alike.

Margin sampling with representativeness and diversity (Settles 2010, sections 3.1, 5.1): the least sure photos alone are
odd ones, and many times the same. The distance to what is labelled already was tried as a factor and did worse.
"""

import numpy as np
from numpy.typing import NDArray

from pcn_cli.metrics.inputs import Floats, Indices
from pcn_cli.metrics.unlike import unit_length

NEAREST = 10  # photos that tell how typical one is
LEAST_TYPICAL = 0.3  # weight of the oddest photo; the most typical has 1 more
MOST_COMPARED = 20_000  # of more, the most unsure


def choose_queue(probabilities: Floats, features: NDArray[np.float32], unlike: Floats | None, *, count: int) -> Indices:
    """The places of at most `count` photos, the most worthwhile first.

    `probabilities` (N, K) and mean tokens (N, C) are of unlabelled photos, `unlike` (N,) is more than 1 where one is
    like nothing that was learned: such an answer counts as a guess, however sure it is.
    """
    if not len(features):
        return np.empty(0, dtype=np.int64)
    unsure = doubt(probabilities, unlike)
    looked_at = np.argsort(-unsure, kind="stable")[:MOST_COMPARED]
    worth, directions = unsure[looked_at], unit_length(features[looked_at])
    worth = worth * (LEAST_TYPICAL + _typicality(directions))
    usual, apart = _usual_distance(directions), np.full(len(worth), np.inf)
    chosen: list[int] = []
    for _ in range(min(count, len(worth))):
        scores = worth * np.minimum(apart, usual)
        scores[chosen] = -1
        best = int(scores.argmax())
        chosen.append(best)
        apart = np.minimum(apart, np.maximum(1 - directions @ directions[best], 0))
    return np.asarray(looked_at[chosen], dtype=np.int64)


def doubt(probabilities: Floats, unlike: Floats | None) -> Floats:
    """How unsure the answers (N, K) are, (N,) from 0 to 1: how close the second class comes to the first."""
    if probabilities.shape[1] < 2:
        return np.ones(len(probabilities))
    second, first = np.sort(probabilities, axis=1)[:, -2:].T
    unsure = 1 - (first - second)
    return np.asarray(unsure if unlike is None else np.where(unlike > 1, 1.0, unsure), np.float64)


def _typicality(directions: NDArray[np.float32]) -> Floats:
    """How like its nearest others each photo is, from 0 for the oddest to 1, (N,)."""
    count = min(NEAREST, len(directions) - 1)
    if count < 1:
        return np.ones(len(directions))
    means = np.empty(len(directions))
    for start in range(0, len(directions), 512):
        block = directions[start : start + 512] @ directions.T
        means[start : start + 512] = np.sort(block, axis=1)[:, -count - 1 : -1].mean(axis=1)  # the last is itself
    return np.asarray(means - means.min(), np.float64) / max(float(np.ptp(means)), 1e-9)


def _usual_distance(directions: NDArray[np.float32]) -> float:
    """The median distance of a photo to its nearest other: from there on two photos are not alike."""
    sample = directions[np.linspace(0, len(directions) - 1, min(len(directions), 1_000), dtype=int)]
    nearest = np.sort(1 - sample @ sample.T, axis=1)[:, min(1, len(sample) - 1)]
    return max(float(np.median(nearest)), 1e-9)
