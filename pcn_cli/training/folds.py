"""Folds: every photo is predicted by a model that learned from none of its own fold."""

import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from pcn_cli.errors import DataError

Numbers = NDArray[np.int64]
Counts = NDArray[np.float64]


class Fold(NamedTuple):
    """The places of the photos to learn from and of those held out."""

    learn: Numbers
    held_out: Numbers


def divide_folds(targets: Numbers, groups: Numbers, *, folds: int, seed: int) -> list[Fold]:
    """Folds in which every class has its share, as far as photos of one group, which stay together, allow it.

    `groups` (N,) are equal where photos belong together; the largest class needs as many as there are folds.
    """
    splitter = _EvenFolds(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")  # small classes miss in some folds
        warnings.filterwarnings("ignore", message="The number of unique classes")  # many may be: nothing is guessed
        return [Fold(*places) for places in splitter.split(np.zeros(targets.size), targets, groups)]


class _EvenFolds(StratifiedGroupKFold):  # type: ignore[misc]  # scikit-learn has no types
    """The folds of scikit-learn, which asks for each group and each fold how even the classes would be: here at once.

    It is a fifth of the time where groups are many. Should another version not ask this way, its own way remains.
    """

    def _find_best_fold(self, y_counts_per_fold: Counts, y_cnt: Numbers, group_y_counts: Counts) -> int:
        """The fold in which the group leaves the classes spread most evenly; of equal ones that with fewest photos."""
        folds = np.arange(len(y_counts_per_fold))
        tried = np.repeat(y_counts_per_fold[None], len(folds), axis=0)  # (trial, fold, class)
        tried[folds, folds] += group_y_counts
        spreads = (tried / y_cnt).std(axis=1).mean(axis=1).tolist()
        best, photos = 0, y_counts_per_fold.sum(axis=1).tolist()
        for fold in range(1, len(spreads)):
            alike = abs(spreads[fold] - spreads[best]) <= 1e-8 + 1e-5 * abs(spreads[best])  # as of np.isclose
            if spreads[fold] < spreads[best] or (alike and photos[fold] < photos[best]):
                best = fold
        return best


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
