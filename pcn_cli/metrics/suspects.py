"""Confident learning: labels that the model's own answers contradict (Northcutt, Jiang, Chuang 2021).

These are the off-diagonal counts of the confident joint, ranked by self-confidence. cleanlab 2.9 (Apache-2.0) finds the
same photos in the same order; for these lines it would bring pandas along.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pcn_cli.records.photos import SplitRow
from pcn_cli.records.predictions import Prediction, Suspect

Numbers = NDArray[np.int64]


class Doubts(NamedTuple):
    """Photos whose label is in doubt, the most suspect first: their places, and the classes they look like."""

    places: Numbers
    suggested: Numbers


def find_doubts(targets: Numbers, probabilities: NDArray[np.float64], *, judged: NDArray[np.bool_]) -> Doubts:
    """The judged photos that are confidently of another class than their label.

    A photo is confidently of a class where its probability is at least the mean of that class's own photos; of several
    such classes the most probable counts. The less probable its label, the more suspect a photo is.

    Args:
        targets: (N,) labels as class numbers.
        probabilities: (N, K) out of sample: of models that did not learn from the photo.
        judged: (N,) which photos to look at; the others count for nothing.
    """
    own = probabilities[np.arange(targets.size), targets]
    thresholds = np.full(probabilities.shape[1], np.inf)
    for label in np.unique(targets[judged]):
        thresholds[label] = own[judged & (targets == label)].mean()
    confident = np.where(probabilities >= thresholds, probabilities, -1.0)
    suggested = confident.argmax(axis=1)
    doubted = judged & (confident.max(axis=1) >= 0) & (suggested != targets)
    places = np.flatnonzero(doubted)
    places = places[np.argsort(own[places], kind="stable")]
    return Doubts(places=places, suggested=suggested[places])


def name_suspects(
    photos: Sequence[SplitRow | Prediction],
    probabilities: NDArray[np.float64],
    classes: Sequence[str],
    *,
    judged: NDArray[np.bool_] | None = None,
) -> tuple[Suspect, ...]:
    """The photos whose label the out-of-sample `probabilities` (N, K) contradict, the most suspect first.

    `judged` (N,) are the photos to look at; all when None.
    """
    targets = np.array([classes.index(photo.label) for photo in photos])
    everyone = np.ones(len(photos), dtype=bool)
    doubts = find_doubts(targets, probabilities, judged=everyone if judged is None else judged)
    return tuple(
        Suspect(
            rank=rank,
            file=photos[place].file,
            split=photos[place].split,
            label=photos[place].label,
            suggested=classes[suggested],
            p_label=float(probabilities[place, targets[place]]),
            p_suggested=float(probabilities[place, suggested]),
        )
        for rank, (place, suggested) in enumerate(zip(doubts.places, doubts.suggested, strict=True), start=1)
    )
