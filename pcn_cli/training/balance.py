"""Uneven classes: photos of rare ones weigh more in the loss, or come more often."""

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]


def class_weights(targets: Numbers, classes: int) -> tuple[float, ...]:
    """What a photo of each class weighs, so that all classes weigh the same and the photos 1 in the mean.

    It is n / (K · n_c), scikit-learn's "balanced", where K counts those of `classes` that have photos; one without
    weighs 0.
    """
    counts = np.bincount(targets, minlength=classes)
    weights = np.divide(targets.size, np.count_nonzero(counts) * counts, out=np.zeros(classes), where=counts > 0)
    return tuple(weights.tolist())


def even_order(targets: Numbers, seed: int, epoch: int) -> Numbers:
    """The places (n,) of the photos of one epoch in which classes come equally often, a function of (seed, epoch).

    No photo comes again before the others of its class have come as often; which of a large class come is drawn anew
    in every epoch.
    """
    rng = np.random.default_rng((_DOMAIN, seed, epoch))
    present = rng.permutation(np.unique(targets))
    shares = np.array_split(np.arange(targets.size), present.size)
    drawn = [
        _draw(np.flatnonzero(targets == label), len(share), rng) for label, share in zip(present, shares, strict=True)
    ]
    return rng.permutation(np.concatenate(drawn))


_DOMAIN = 2  # tells this order's stream from the others that are drawn from the same seed


def _draw(places: Numbers, count: int, rng: np.random.Generator) -> Numbers:
    """`count` of the places, none more than once more than another."""
    rounds = [rng.permutation(places) for _ in range(-(-count // places.size))]
    return np.concatenate(rounds)[:count]
