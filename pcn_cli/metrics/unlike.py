"""How unlike anything learned a photo is: its distance to the training photos most like it, after the k-NN detector of
Sun, Ming, Zhu, Li 2022 (arXiv:2204.06507), with validation photos in place of a chosen bound.

A network is sure of photos that are like nothing it saw; its features still lie far from all that it learned from.
Measured against Mahalanobis distances, residuals and centred features: tests/benchmarks/RESULTS.md.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

NEAREST = 5  # photos whose mean distance counts: one odd training photo makes nothing familiar
REFUSED = 0.05  # share of the validation photos that are called unlike
MOST_KEPT = 2_000  # training photos that a model keeps the features of
_ROWS = 512

Features = NDArray[np.float32]
Floats = NDArray[np.float64]


class Learned:
    """What a model remembers of the photos that it learned from.

    Attributes:
        features: (M, C) float32 of length 1, mean tokens of training photos.
        distances: (V,) float32, rising: those of the validation photos, which nothing was learned from.
        bound: the distance above which a photo is unlike; None where the validation photos are too few to tell.
    """

    def __init__(self, features: Features, distances: Features) -> None:
        self.features, self.distances = features, np.sort(distances)
        # With one photo more: a new one is among the farthest no more often than that share.
        rank = int(np.ceil((1 - REFUSED) * (len(distances) + 1)))
        self.bound = float(self.distances[rank - 1]) if rank <= len(distances) else None

    @classmethod
    def of(cls, train: Features, val: Features, labels: Sequence[str], *, seed: int) -> "Learned":
        """What training photos with mean tokens (N, C) and these labels leave, and validation photos (V, C) tell."""
        kept = unit_length(train[draw_evenly(labels, most=MOST_KEPT, seed=seed)])
        return cls(kept, nearest_distances(unit_length(val), kept))

    def unlike(self, features: Features) -> Floats | None:
        """How far photos with mean tokens (N, C) lie from what was learned, (N,), where more than 1 is unlike it.

        None where no bound is known.
        """
        if self.bound is None:
            return None
        return nearest_distances(unit_length(features), self.features).astype(np.float64) / max(self.bound, 1e-9)


def unit_length(features: Features) -> Features:
    """The rows of (N, C), each divided by its length."""
    lengths = np.linalg.norm(features.astype(np.float32), axis=1, keepdims=True)
    return np.asarray(features / np.maximum(lengths, 1e-12), np.float32)


def nearest_distances(features: Features, known: Features) -> Features:
    """The mean of 1 - cosine of each row (N, C) to its nearest rows of `known` (M, C), all of length 1."""
    count = min(NEAREST, len(known))
    blocks = (features[start : start + _ROWS] @ known.T for start in range(0, len(features), _ROWS))
    nearest = [1 - np.partition(block, len(known) - count, axis=1)[:, len(known) - count :] for block in blocks]
    return np.concatenate([one.mean(axis=1) for one in nearest]).astype(np.float32) if nearest else np.empty(0, "f4")


def draw_evenly(labels: Sequence[str], *, most: int, seed: int) -> NDArray[np.int64]:
    """The places of at most so many photos, each label's as evenly as there are any, in rising order."""
    order = np.random.default_rng(seed).permutation(len(labels))
    if len(labels) <= most:
        return np.sort(order)
    _, numbers = np.unique(np.asarray(labels)[order], return_inverse=True)
    turns = np.empty(len(order), dtype=np.int64)
    for number in np.unique(numbers):
        own = np.flatnonzero(numbers == number)
        turns[own] = np.arange(len(own))
    return np.sort(order[np.argsort(turns, kind="stable")[:most]])
