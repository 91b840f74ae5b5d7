from dataclasses import replace

import pytest

from pcn_cli.metrics.intervals import wilson
from pcn_cli.metrics.pointing import covered_share, play_pointing_game
from pcn_cli.records.codec import field_names
from pcn_cli.records.photos import Box
from pcn_cli.records.predictions import AttentionNumbers, Prediction

NUMBERS = AttentionNumbers(**dict.fromkeys(field_names(AttentionNumbers), 0.0))
BOX = Box(file="a.jpg", label="cat", xmin=0, ymin=0, xmax=4, ymax=1, width=10, height=4)


def prediction(file: str, x: float, y: float, predicted: str = "cat") -> Prediction:
    return Prediction(
        file=file,
        label="cat",
        predicted=predicted,
        confidence=1.0,
        probabilities=(1.0,),
        attention=replace(NUMBERS, peak_x=x, peak_y=y),
    )


def test_a_peak_on_the_edge_of_a_box_is_a_hit_and_one_beside_it_is_none() -> None:
    peaks = [(0.0, 0.0), (4.0, 1.0), (4.1, 1.0), (2.0, 1.5)]
    for hit, (x, y) in zip((1.0, 1.0, 0.0, 0.0), peaks, strict=True):
        assert play_pointing_game([prediction("a.jpg", x, y)], {"a.jpg": [BOX]})["pointing_game"].value == hit


def test_photos_without_a_box_do_not_count() -> None:
    played = play_pointing_game([prediction("a.jpg", 1, 1), prediction("b.jpg", 9, 3)], {"a.jpg": [BOX]})
    assert (played["pointing_game"].value, played["pointing_game"].n) == (1.0, 1)
    assert play_pointing_game([prediction("b.jpg", 9, 3)], {"a.jpg": [BOX]}) == {}


def test_the_right_predictions_are_counted_apart() -> None:
    some = [prediction("a.jpg", 1, 1), prediction("a.jpg", 9, 3), prediction("a.jpg", 9, 3, predicted="dog")]
    played = play_pointing_game(some, {"a.jpg": [BOX]})
    assert played["pointing_game"].value == pytest.approx(1 / 3)
    assert (played["pointing_game_right"].value, played["pointing_game_right"].n) == (0.5, 2)
    assert (played["pointing_game"].ci_low, played["pointing_game"].ci_high) == wilson(1, 3)


def test_the_guesses_know_nothing_of_the_map() -> None:
    centred = replace(BOX, xmin=3, xmax=6, ymin=1, ymax=2)
    played = play_pointing_game(
        [prediction("a.jpg", 9, 3), prediction("b.jpg", 9, 3)], {"a.jpg": [BOX], "b.jpg": [centred]}
    )
    assert played["pointing_game_center"].value == 0.5
    assert played["pointing_game_random"].value == pytest.approx((10 + 8) / 80)


def test_boxes_that_overlap_cover_their_union_once() -> None:
    assert covered_share([BOX, replace(BOX, xmin=3, xmax=6)]) == pytest.approx(14 / 40)
