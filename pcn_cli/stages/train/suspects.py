"""Label suspects: photos whose label is contradicted by models that did not learn from them. Nothing is changed."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pcn_cli.metrics.suspects import find_doubts
from pcn_cli.records.photos import SplitRow
from pcn_cli.records.predictions import Prediction, Suspect
from pcn_cli.training.folds import Fold, answer_folds, count_learned, divide_folds, most_folds
from pcn_cli.training.probe import regress

FOLDS = 5
FEWEST_LEARNED = 5  # photos of a class; a model that saw fewer doubts every one of them


def doubt_by_features(
    rows: Sequence[SplitRow],
    features: NDArray[np.float32],
    units: NDArray[np.int64],
    *,
    classes: Sequence[str],
    strength: float,
    seed: int,
) -> tuple[Suspect, ...]:
    """The suspects among `rows` by logistic regressions on their `features` (N, C), each blind to a fifth of them.

    None where every class has too few photos to be divided into folds.

    Args:
        rows: the photos.
        features: of the frozen trunk.
        units: (N,) equal numbers where photos belong together.
        classes: in the order of the probabilities.
        strength: the regressions' C.
        seed: of the folds.
    """
    targets = np.array([classes.index(row.label) for row in rows])
    if most_folds(targets, units) < FOLDS:
        return ()
    folds = divide_folds(targets, units, folds=FOLDS, seed=seed)

    def answer(fold: Fold) -> NDArray[np.float64]:
        learned = regress(features[fold.learn], targets[fold.learn], strength=strength, classes=len(classes))
        return learned(features[fold.answer])

    judged = count_learned(folds, targets) >= FEWEST_LEARNED
    return name_suspects(rows, answer_folds(folds, answer), classes, judged=judged)


def doubt_predictions(predictions: Sequence[Prediction], classes: Sequence[str]) -> tuple[Suspect, ...]:
    """The suspects among measured photos, by the predictions of a model that did not learn from them."""
    probabilities = np.array([prediction.probabilities for prediction in predictions])
    return name_suspects(predictions, probabilities, classes, judged=np.ones(len(predictions), dtype=bool))


def name_suspects(
    photos: Sequence[SplitRow | Prediction],
    probabilities: NDArray[np.float64],
    classes: Sequence[str],
    *,
    judged: NDArray[np.bool_],
) -> tuple[Suspect, ...]:
    """The photos whose label the out-of-sample `probabilities` (N, K) contradict, the most suspect first."""
    targets = np.array([classes.index(photo.label) for photo in photos])
    doubts = find_doubts(targets, probabilities, judged=judged)
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
