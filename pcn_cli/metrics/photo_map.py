"""From features of photos: their places in a plane in which alike ones lie together, and the most alike to each."""

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from pcn_cli.metrics.unlike import unit_length

Floats = NDArray[np.float32]

MOST_PLACED = 3000  # photos that t-SNE places, within seconds; further ones lie between the three most alike to them
_AXES = 30  # that t-SNE is given: more hold noise
_STEPS = 300  # of t-SNE; the least that it takes is 250
_SPREAD = 1e-6  # of a feature of length 1: what rounding leaves
_BETWEEN = 3
_AT_ONCE = 1000  # photos compared with all others


def place_photos(features: Floats) -> Floats:
    """A place in [0, 1]² for each photo of (N, C), the same on every call; t-SNE (van der Maaten and Hinton 2008).

    Photos that nothing tells apart, and fewer than three, stand in a line.
    """
    known = unit_length(features)
    if len(known) < 3 or np.ptp(known, axis=0).max() < _SPREAD:
        return np.linspace(0, 1, max(len(known), 1), dtype=np.float32)[: len(known), None].repeat(2, axis=1)
    drawn = np.sort(np.random.default_rng(0).permutation(len(known))[:MOST_PLACED])
    sample = known[drawn]
    axes = PCA(min(_AXES, *sample.shape), random_state=0).fit_transform(sample)
    perplexity = min(30.0, (len(sample) - 1) / 3)
    tsne = TSNE(2, init="pca", random_state=0, max_iter=_STEPS, perplexity=perplexity, n_jobs=1)
    places = np.empty((len(known), 2), np.float32)
    with threadpool_limits(1):  # its threads wait for each other: two take twice the processor's time of one
        places[drawn] = tsne.fit_transform(axes)
    others = np.setdiff1d(np.arange(len(known)), drawn)
    if others.size:
        near, likeness = most_alike(known[others], sample, count=_BETWEEN)
        weights = np.maximum(likeness, 1e-3) ** 8
        places[others] = (places[drawn][near] * (weights / weights.sum(axis=1, keepdims=True))[..., None]).sum(axis=1)
    low, high = places.min(axis=0), places.max(axis=0)
    return np.asarray((places - low) / np.maximum(high - low, 1e-9), np.float32)


def most_alike(features: Floats, known: Floats, *, count: int) -> tuple[NDArray[np.int64], Floats]:
    """For each of the features (N, C) the places of the `count` most alike among (M, C), and how alike: the cosine.

    Both have unit length; both results are (N, min(count, M)), the most alike first.
    """
    count = min(count, len(known))
    places, likeness = np.empty((len(features), count), np.int64), np.empty((len(features), count), np.float32)
    for first in range(0, len(features), _AT_ONCE):
        own = slice(first, first + _AT_ONCE)
        cosines, each = features[own] @ known.T, np.arange(len(features[own]))
        for rank in range(count):  # few: to sort them all takes ten times as long
            best = cosines.argmax(axis=1)
            places[own, rank], likeness[own, rank] = best, cosines[each, best]
            cosines[each, best] = -np.inf
    return places, likeness
