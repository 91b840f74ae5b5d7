"""Confident learning: labels that the model's own answers contradict (Northcutt, Jiang, Chuang 2021).

These are the off-diagonal counts of the confident joint, ranked by self-confidence. cleanlab 2.9 (Apache-2.0) finds the
same photos in the same order; for these lines it would bring pandas along.
"""

from collections.abc import Sequence

import numpy as np

from pcn_cli.metrics.inputs import Floats, Indices, Truths
from pcn_cli.records.photos import SplitRow
from pcn_cli.records.predictions import Prediction, Suspect


def find_doubts(targets: Indices, probabilities: Floats, *, judged: Truths) -> tuple[Indices, Indices]:
    """The judged photos that are confidently of another class than their label, and the classes they look like.

    A photo is confidently of a class where its probability is at least the mean of that class's own photos; of several
    such classes the most probable counts. The less probable its label, the more suspect a photo is; the most suspect
    stand first.

    `targets` (N,) are labels as class numbers, `probabilities` (N, K) of models that did not learn from the photo,
    `judged` (N,) the photos to look at; the others count for nothing.
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
    return places, suggested[places]


def name_suspects(
    photos: Sequence[SplitRow | Prediction],
    probabilities: Floats,
    classes: Sequence[str],
    *,
    judged: Truths | None = None,
) -> tuple[Suspect, ...]:
    """The photos whose label the out-of-sample `probabilities` (N, K) contradict, the most suspect first.

    `judged` (N,) are the photos to look at; all when None.
    """
    targets = np.array([classes.index(photo.label) for photo in photos])
    looked_at = np.ones(len(photos), dtype=bool) if judged is None else judged
    places, looks_like = find_doubts(targets, probabilities, judged=looked_at)
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
        for rank, (place, suggested) in enumerate(zip(places, looks_like, strict=True), start=1)
    )
