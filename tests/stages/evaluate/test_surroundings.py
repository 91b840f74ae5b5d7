"""What each measured photo is like among those that were learned from, and where all lie on the map."""

import numpy as np
import pytest

from pcn_cli.records.photos import SplitRow
from pcn_cli.records.predictions import AttentionNumbers, PhotoFeatures, Prediction
from pcn_cli.stages.evaluate import surroundings
from pcn_cli.stages.evaluate.surroundings import find_alike, find_places

CLASSES = ("a", "b", "c")
NUMBERS = AttentionNumbers(**dict.fromkeys(AttentionNumbers.__dataclass_fields__, 0.5))


@pytest.fixture
def known() -> PhotoFeatures:
    """Eight training photos of each class and three to measure, in three directions."""
    rows, features = [], []
    for number, name in enumerate(CLASSES):
        for part, count in (("train", 8), ("val", 2), ("test", 1)):
            for place in range(count):
                rows.append(SplitRow(file=f"{name}/{part}{place}.jpg", label=name, split=part, sha256="0"))
                features.append(np.eye(4)[number] + 0.01 * place * np.eye(4)[3])
    return PhotoFeatures(rows=tuple(rows), features=np.array(features, "f4"))


def predict(file: str, label: str, p: tuple[float, ...]) -> Prediction:
    best = int(np.argmax(p))
    given = {"confidence": p[best], "probabilities": p, "split": "test", "label": label}
    return Prediction(file=file, predicted=CLASSES[best], attention=NUMBERS, **given)


def test_a_mistake_stands_beside_photos_of_what_it_was_taken_for_and_of_its_label(known):
    wrong, right = predict("a/test0.jpg", "a", (0.1, 0.2, 0.7)), predict("b/test0.jpg", "b", (0.3, 0.6, 0.1))
    alike = find_alike(known, [wrong, right], CLASSES)
    by_file = {one.file: {other.label for other in alike if other.file == one.file} for one in alike}
    assert by_file == {"a/test0.jpg": {"c", "a"}, "b/test0.jpg": {"b", "a"}}
    own = [one for one in alike if (one.file, one.label) == ("a/test0.jpg", "a")]
    assert [(one.rank, one.other) for one in own] == [(1, "a/train0.jpg"), (2, "a/train1.jpg"), (3, "a/train2.jpg")]
    assert own[0].likeness == pytest.approx(1)
    assert all("/train" in one.other for one in alike)


def test_new_photos_and_classes_without_training_photos_have_nothing_beside_them(known):
    stranger = predict("elsewhere.jpg", "a", (0.1, 0.2, 0.7))
    assert find_alike(known, [stranger], CLASSES) == ()
    assert find_alike(PhotoFeatures(rows=(), features=np.zeros((0, 4), "f4")), [stranger], CLASSES) == ()


def test_the_map_holds_every_test_photo_before_others(known, monkeypatch):
    assert len(find_places(known)) == len(known.rows)
    monkeypatch.setattr(surroundings, "MOST_POINTS", 10)
    places = find_places(known)
    assert len(places) == 10
    assert sum(place.split == "test" for place in places) == 3
    assert {place.label for place in places} == set(CLASSES)
