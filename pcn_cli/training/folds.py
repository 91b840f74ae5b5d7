"""Folds: every photo is answered by a model that learned from none of its own fold."""

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from pcn_cli.errors import DataError

Numbers = NDArray[np.int64]
Probabilities = NDArray[np.float64]


class Fold(NamedTuple):
    """The places of the photos to learn from and of those to answer."""

    learn: Numbers
    answer: Numbers


def divide_folds(targets: Numbers, units: Numbers, *, folds: int, seed: int) -> list[Fold]:
    """Folds in which every class has its share, as far as photos of one unit, which stay together, allow it.

    Args:
        targets: (N,) class numbers.
        units: (N,) equal numbers where photos belong together.
        folds: how many; the largest class needs as many units.
        seed: of the order.
    """
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")  # small classes miss in some folds
        parts = list(splitter.split(np.zeros(targets.size), targets, units))
    return [Fold(learn, answer) for learn, answer in parts]


def set_aside(places: Numbers, targets: Numbers, units: Numbers, *, share: int, seed: int) -> Fold:
    """The `places` to learn from, and about one in `share` of them set aside to choose by, whole units of each class.

    Args:
        places: of the photos that may be used.
        targets: (N,) class numbers.
        units: (N,) equal numbers where photos belong together.
        share: how many photos for one that is set aside.
        seed: of the draw.

    Raises:
        DataError: no class has two photos that may be parted.
    """
    folds = min(share, most_folds(targets[places], units[places]))
    if folds < 2:
        raise DataError(
            f"{places.size} photos outside a fold cannot be divided: none may be parted from another of its class",
            "add photos, or leave out --folds",
        )
    chosen = divide_folds(targets[places], units[places], folds=folds, seed=seed)[0]
    return Fold(places[chosen.learn], places[chosen.answer])


def most_folds(targets: Numbers, units: Numbers) -> int:
    """The units of the class that has most: more folds cannot all have a photo of it."""
    pairs = np.unique(np.stack([targets, units]), axis=1)
    return int(np.bincount(pairs[0]).max())


def answer_folds(folds: list[Fold], answer: Callable[[Fold], Probabilities]) -> Probabilities:
    """The probabilities (N, K) of all photos, each by what `answer` made of its fold."""
    pieces = [answer(fold) for fold in folds]
    order = np.argsort(np.concatenate([fold.answer for fold in folds]))
    return np.asarray(np.concatenate(pieces)[order])


def count_learned(folds: list[Fold], targets: Numbers) -> Numbers:
    """How many photos (N,) of its own class each photo's model learned from."""
    counts = np.zeros(targets.size, dtype=np.int64)
    for fold in folds:
        learned = np.bincount(targets[fold.learn], minlength=int(targets.max()) + 1)
        counts[fold.answer] = learned[targets[fold.answer]]
    return counts
