"""Where each photo lies among all others, and the training photos most alike to each that was measured."""

from collections.abc import Iterator, Sequence

import numpy as np

from pcn_cli.metrics.photo_map import most_alike, place_photos
from pcn_cli.metrics.unlike import unit_length
from pcn_cli.records.predictions import Alike, PhotoFeatures, PhotoPlace, Prediction
from pcn_cli.runs.features import read_features
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.store import ALIKE, PLACES

MOST_POINTS = 10_000  # of the map
MOST_EXPLAINED = 2000  # photos that are shown beside what they are like: the mistakes, then the least sure
MOST_COMPARED = 20_000  # training photos that they are compared with
_EACH = 3  # photos of each class


def write_surroundings(run: RunDir, predictions: Sequence[Prediction], classes: Sequence[str]) -> None:
    """Put both into the run, where the features of its photos are known."""
    if not run.features.is_file():
        return
    known = read_features(run.features)
    PLACES.write(run, find_places(known))
    if not any(prediction.multi_label for prediction in predictions):
        ALIKE.write(run, find_alike(known, predictions, classes))


def find_places(known: PhotoFeatures) -> tuple[PhotoPlace, ...]:
    """A point for each photo; of more than the map can hold all test photos, and others that are drawn."""
    parts = np.array([row.split for row in known.rows])
    test, others = np.flatnonzero(parts == "test")[:MOST_POINTS], np.flatnonzero(parts != "test")
    drawn = np.random.default_rng(0).permutation(others)[: MOST_POINTS - len(test)]
    chosen = np.sort(np.concatenate([test, drawn]))
    rows = [known.rows[place] for place in chosen.tolist()]
    return tuple(
        PhotoPlace(file=row.file, split=row.split, label=row.label, x=round(float(x), 4), y=round(float(y), 4))
        for row, (x, y) in zip(rows, place_photos(known.features[chosen]), strict=True)
    )


def find_alike(known: PhotoFeatures, predictions: Sequence[Prediction], classes: Sequence[str]) -> tuple[Alike, ...]:
    """For each photo the training photos most alike to it, of the class that it was taken for and of another.

    The other class is the label where that is another, and else the second most probable.
    """
    train = [place for place, row in enumerate(known.rows) if row.split == "train"][:MOST_COMPARED]
    labels, features = np.array([known.rows[place].label for place in train]), unit_length(known.features)
    places = {row.file: place for place, row in enumerate(known.rows) if row.split == "test"}
    own = sorted(predictions, key=lambda one: (one.correct is not False, one.confidence))
    shown = [one for one in own if one.file in places][:MOST_EXPLAINED]
    explained = [(one, _classes_of(one, classes)) for one in shown]
    return tuple(
        alike
        for name in classes
        for alike in _of_class(
            name,
            [one for one, compared in explained if name in compared],
            features=features,
            places=places,
            train=[place for place, label in zip(train, labels.tolist(), strict=True) if label == name],
            known=known,
        )
    )


def _classes_of(prediction: Prediction, classes: Sequence[str]) -> tuple[str, str]:
    """The class that a photo was taken for, and the other that it is compared with."""
    if prediction.label and prediction.label != prediction.predicted:
        return prediction.predicted, prediction.label
    ranked = sorted(zip(prediction.probabilities, classes, strict=True), key=lambda pair: -pair[0])
    return prediction.predicted, next((name for _, name in ranked if name != prediction.predicted), "")


def _of_class(
    name: str,
    predictions: Sequence[Prediction],
    *,
    features: np.ndarray,
    places: dict[str, int],
    train: Sequence[int],
    known: PhotoFeatures,
) -> Iterator[Alike]:
    """The training photos of one class that are most alike to each of these photos."""
    if not train or not predictions:
        return
    near, likeness = most_alike(features[[places[one.file] for one in predictions]], features[train], count=_EACH)
    for one, found, values in zip(predictions, near.tolist(), likeness.tolist(), strict=True):
        for rank, (place, value) in enumerate(zip(found, values, strict=True), start=1):
            other = known.rows[train[place]].file
            yield Alike(file=one.file, label=name, rank=rank, other=other, likeness=round(value, 4))
