"""Shares of the training photos, from all of them down to eighths, for a learning curve."""

import numpy as np
from numpy.typing import NDArray

from pcn_cli.training.folds import divide_folds, most_folds

Numbers = NDArray[np.int64]

PARTS = (2, 4, 8)  # shares that the photos are parted into
FEWEST = 2  # photos of each class in a share; fewer show nothing of how the class varies


def divide_shares(targets: Numbers, groups: Numbers, *, seed: int) -> dict[int, list[Numbers]]:
    """The places of the photos in each share, by how many shares there are: 1, of all photos, then those of PARTS.

    Each time every photo is in one share, and each share is half of one of before. Classes are spread evenly, as far as
    photos of one group, which stay together, allow it. It ends before a share would have fewer than FEWEST photos of a
    class. `targets` are class numbers (N,), or (N, K) of 0 and 1; `groups` (N,) are equal where photos belong together.
    """
    strata = _rarest_labels(targets) if targets.ndim == 2 else targets
    shares = {1: [np.arange(len(targets))]}
    for parts in PARTS:
        whole = shares[parts // 2]
        if any(most_folds(strata[places], groups[places]) < 2 for places in whole):
            break
        halves = [half for places in whole for half in _halve(places, strata, groups, seed)]
        if min(count_photos(targets, places).min() for places in halves) < FEWEST:
            break
        shares[parts] = halves
    return shares


def count_photos(targets: Numbers, places: Numbers) -> Numbers:
    """How many of the photos at `places` each class has, of the classes that any photo of `targets` has."""
    if targets.ndim == 2:
        return np.asarray(targets[places][:, targets.any(axis=0)].sum(axis=0))
    return np.asarray((targets[places][:, None] == np.unique(targets)).sum(axis=0))


def _halve(places: Numbers, strata: Numbers, groups: Numbers, seed: int) -> list[Numbers]:
    folds = divide_folds(strata[places], groups[places], folds=2, seed=seed)
    return [places[fold.held_out] for fold in folds]


def _rarest_labels(targets: Numbers) -> Numbers:
    """The rarest label (N,) of each photo, as chance serves these worst; one number more for photos without any."""
    counts = np.where(targets == 1, targets.sum(axis=0), len(targets) + 1)
    return np.asarray(np.where(targets.any(axis=1), counts.argmin(axis=1), targets.shape[1]))
