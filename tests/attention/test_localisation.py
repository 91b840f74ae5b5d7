import numpy as np
import pytest

from pcn_cli.attention.localisation import (
    energy_in_boxes,
    even_energy,
    even_on_mask,
    find_peak,
    hits_mask,
    map_on_mask,
    middle_energy,
    middle_on_mask,
)
from pcn_cli.records.model import PatchGrid, Placement
from pcn_cli.records.photos import Box

CELLS = PatchGrid(stride=16, offset=8)
WHOLE = Placement(width=128, height=64, input_width=64, input_height=32, box=(0, 0, 128, 64))


def box(xmin: int, ymin: int, xmax: int, ymax: int) -> Box:
    return Box(file="a", label="b", xmin=xmin, ymin=ymin, xmax=xmax, ymax=ymax, width=128, height=64)


LEFT, RIGHT, ALL = box(0, 0, 63, 63), box(64, 0, 127, 63), box(0, 0, 127, 63)


def energy(values: np.ndarray, *boxes: Box, placement: Placement = WHOLE) -> float:
    return energy_in_boxes(values, boxes, patch_grid=CELLS, placement=placement)


def test_energy_is_the_share_of_the_map_in_the_boxes() -> None:
    left = np.array([[1.0, 0, 0, 0], [1, 0, 0, 0]])
    assert energy(left, LEFT) == pytest.approx(1)
    assert energy(left, RIGHT) == pytest.approx(0)
    assert energy(left, LEFT, ALL) == pytest.approx(1)
    assert energy(np.ones((2, 4)), LEFT) == pytest.approx(0.5)
    assert energy(left[:, ::-1] * 3 + left, LEFT) == pytest.approx(0.25)


def test_what_speaks_against_a_class_has_no_energy() -> None:
    signed = np.array([[1.0, 0, 0, -9], [1, 0, 0, -9]])
    assert energy(signed, LEFT) == pytest.approx(1)
    assert energy(-np.ones((2, 4)), LEFT) == 0


def test_only_what_was_seen_counts() -> None:
    right_half = Placement(width=128, height=64, input_width=64, input_height=32, box=(64, 0, 128, 64))
    assert energy(np.ones((2, 4)), box(0, 0, 95, 63), placement=right_half) == pytest.approx(0.5)
    assert even_energy([box(0, 0, 95, 63)], right_half) == pytest.approx(0.5)
    assert even_energy([box(0, 0, 95, 63)], WHOLE) == pytest.approx(0.75)


def test_a_blob_in_the_middle_prefers_the_middle() -> None:
    middle = box(32, 16, 95, 47)
    assert middle_energy([middle], WHOLE) > 2 * even_energy([middle], WHOLE)
    assert middle_energy([LEFT], WHOLE) == pytest.approx(0.5)
    assert middle_energy([ALL], WHOLE) == pytest.approx(1)


def test_the_peak_is_where_the_strongest_patch_lies() -> None:
    values = np.array([[0.0, 0, 0, 0], [0, 0, 5, 0]])
    assert find_peak(values, patch_grid=CELLS, placement=WHOLE) == (80, 48)


def test_a_map_in_the_shape_of_the_mask_overlaps_it_wholly_at_its_best_threshold() -> None:
    mask, left = np.zeros((64, 128), dtype=bool), np.array([[2.0, 1, 0, 0], [2, 1, 0, 0]])
    mask[:, :56] = True  # where the map is above what it falls to midway between two patches
    energy, overlap = map_on_mask(left, mask, patch_grid=CELLS, placement=WHOLE)
    assert overlap == pytest.approx(1)
    assert 0.9 < energy < 1
    turned = map_on_mask(left[:, ::-1], mask, patch_grid=CELLS, placement=WHOLE)
    assert turned.overlap == pytest.approx(56 / 128, abs=0.01)  # the best that is left is to take all
    assert turned.energy < 0.1
    assert hits_mask(55.9, 0, mask)
    assert not hits_mask(56.1, 64, mask)


def test_guesses_on_a_mask_are_its_share_and_a_blob_that_prefers_the_middle() -> None:
    mask = np.zeros((64, 128), dtype=bool)
    mask[16:48, 32:96] = True
    assert even_on_mask(mask, WHOLE) == pytest.approx((0.25, 0.25))
    energy, overlap = middle_on_mask(mask, WHOLE)
    assert energy > 0.5
    assert overlap > 0.75
    right_half = Placement(width=128, height=64, input_width=64, input_height=32, box=(64, 0, 128, 64))
    assert even_on_mask(mask, right_half) == pytest.approx((0.25, 0.25))
    flat = map_on_mask(np.ones((2, 4)), mask, patch_grid=CELLS, placement=WHOLE)
    assert flat == pytest.approx((0.25, 0.25))  # patches that are as strong are cut together
