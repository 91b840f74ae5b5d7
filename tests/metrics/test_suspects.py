"""Labels that out-of-sample answers contradict are found, the most doubtful first."""

import numpy as np
import pytest

from pcn_cli.metrics.suspects import find_doubts, name_suspects
from pcn_cli.records.codec import field_names
from pcn_cli.records.predictions import AttentionNumbers, Prediction

EVERY = np.ones(6, dtype=bool)
TARGETS = np.array([0, 0, 0, 1, 1, 1])
FIRST = np.array([0.9, 0.8, 0.1, 0.1, 0.45, 0.75])  # the probability of class 0
PROBABILITIES = np.stack([FIRST, 1 - FIRST], axis=1)


def test_photos_that_are_confidently_of_another_class_come_by_falling_doubt() -> None:
    # Class 0 is believed from the mean 0.6 on, class 1 from (0.9 + 0.55 + 0.25) / 3.
    places, suggested = find_doubts(TARGETS, PROBABILITIES, judged=EVERY)
    assert places.tolist() == [2, 5]
    assert suggested.tolist() == [1, 0]


def test_a_photo_that_is_of_no_class_for_certain_is_not_doubted() -> None:
    probabilities = PROBABILITIES.copy()
    probabilities[2] = 0.45, 0.55  # less sure than the photos of class 1 are on average
    assert find_doubts(TARGETS, probabilities, judged=EVERY)[0].tolist() == [5]


def test_photos_that_cannot_be_judged_are_neither_named_nor_counted() -> None:
    judged = np.array([True, True, False, True, True, True])
    places, _ = find_doubts(TARGETS, PROBABILITIES, judged=judged)
    assert places.tolist() == []  # without the third photo class 0 is believed from 0.85 on only
    assert find_doubts(TARGETS, PROBABILITIES, judged=~EVERY)[0].size == 0


@pytest.mark.parametrize("seed", range(3))
def test_labels_that_were_changed_are_found_among_many_classes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 20, 2_000)
    scores = rng.normal(0, 1, (2_000, 20))
    scores[np.arange(2_000), truth] += 4
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    changed = rng.choice(2_000, 100, replace=False)
    labels = truth.copy()
    labels[changed] = (truth[changed] + rng.integers(1, 20, 100)) % 20
    places, suggested = find_doubts(labels, probabilities, judged=np.ones(2_000, dtype=bool))
    found = np.isin(places[:50], changed)
    assert found.mean() >= 0.9
    right = suggested[:50] == truth[places[:50]]
    assert right[found].mean() >= 0.9


def test_predictions_of_other_photos_give_suspects_too():
    numbers = AttentionNumbers(**dict.fromkeys(field_names(AttentionNumbers), 0.5))
    predictions = [
        Prediction(
            file=f"{n}.jpg", predicted="b" if p < 0.5 else "a", confidence=max(p, 1 - p), probabilities=(p, 1 - p),
            attention=numbers, split="test", label="a" if n < 3 else "b",
        )
        for n, p in enumerate((0.9, 0.8, 0.02, 0.1, 0.2))
    ]  # fmt: skip
    (suspect,) = name_suspects(predictions, np.array([one.probabilities for one in predictions]), ("a", "b"))
    assert (suspect.file, suspect.label, suspect.suggested, suspect.p_label) == ("2.jpg", "a", "b", 0.02)
