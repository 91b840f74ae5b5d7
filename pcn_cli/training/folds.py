"""Folds: every photo is predicted by a model that learned from none of its own fold."""

import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from pcn_cli.errors import DataError

Numbers = NDArray[np.int64]


class Fold(NamedTuple):
    """The places of the photos to learn from and of those held out."""

    learn: Numbers
    held_out: Numbers


def divide_folds(targets: Numbers, groups: Numbers, *, folds: int, seed: int) -> list[Fold]:
    """Folds in which every class has its share, as far as photos of one group, which stay together, allow it.

    `groups` (N,) are equal where photos belong together; the largest class needs as many as there are folds.
    """
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")  # small classes miss in some folds
        warnings.filterwarnings("ignore", message="The number of unique classes")  # many may be: nothing is guessed
        return [Fold(*places) for places in splitter.split(np.zeros(targets.size), targets, groups)]


def set_aside(places: Numbers, targets: Numbers, groups: Numbers, *, share: int, seed: int) -> Fold:
    """The `places` to learn from, and about one in `share` of them set aside to choose by, whole groups of each class.

    Raises:
        DataError: no class has two photos that may be parted.
    """
    folds = min(share, most_folds(targets[places], groups[places]))
    if folds < 2:
        raise DataError(
            f"{places.size} photos outside a fold cannot be divided: none may be parted from another of its class",
            "add photos, or leave out --folds",
        )
    chosen = divide_folds(targets[places], groups[places], folds=folds, seed=seed)[0]
    return Fold(places[chosen.learn], places[chosen.held_out])


def most_folds(targets: Numbers, groups: Numbers) -> int:
    """The groups of the class that has most: more folds cannot all have a photo of it."""
    pairs = np.unique(np.stack([targets, groups]), axis=1)
    return int(np.bincount(pairs[0]).max())


def count_learned(folds: list[Fold], targets: Numbers) -> Numbers:
    """How many photos (N,) of its own class each photo's model learned from."""
    counts = np.zeros(targets.size, dtype=np.int64)
    for fold in folds:
        learned = np.bincount(targets[fold.learn], minlength=int(targets.max()) + 1)
        counts[fold.held_out] = learned[targets[fold.held_out]]
    return counts
