"""Uneven classes: photos of rare ones weigh more in the loss, or come more often."""

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
_DOMAIN = 2  # tells this order's stream from the others that are drawn from the same seed


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
    drawn = []
    for label, share in zip(present, shares, strict=True):
        own = np.flatnonzero(targets == label)
        rounds = [rng.permutation(own) for _ in range(-(-share.size // own.size))]
        drawn.append(np.concatenate(rounds)[: share.size])
    return rng.permutation(np.concatenate(drawn))
