import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from pcn_cli.attention.geometry import map_to_photo
from pcn_cli.attention.overlay import (
    FULL_EVIDENCE,
    LOOKS,
    Look,
    draw_evidence,
    draw_overlay,
    evidence_color,
    heat_color,
)
from pcn_cli.records.model import PatchGrid, Placement

WHOLE = Placement(width=448, height=336, input_width=224, input_height=224, box=(0, 0, 448, 336))
CROPPED = Placement(width=448, height=336, input_width=224, input_height=224, box=(77, 21, 371, 315))
CELLS = PatchGrid(stride=16, offset=8)


def draw(lift: np.ndarray, look: Look, placement: Placement = WHOLE, **options) -> np.ndarray:
    photo = Image.new("RGB", (448, 336), (200, 120, 40))
    return np.asarray(draw_overlay(photo, lift, patch_grid=CELLS, placement=placement, look=look, **options)).astype(
        int
    )


def lift_at(row: int, column: int) -> np.ndarray:
    lift = np.zeros((14, 14))
    lift[row, column] = 196
    return lift


def test_the_spotlight_leaves_the_attended_as_it_is_and_the_rest_a_third_darker_in_its_colours() -> None:
    shown = draw(lift_at(3, 10), "spotlight")

    assert shown[3 * 24 + 12, 10 * 32 + 16].tolist() == [200, 120, 40]
    assert shown[300, 50].tolist() == [136, 82, 27]


def test_the_spotlight_has_a_line_around_half_of_the_look_unless_that_is_nearly_even() -> None:
    placed = np.argwhere(draw(lift_at(6, 6), "spotlight")[..., 2] > 100)
    nearly_even = 1 + 0.1 * lift_at(6, 6) / 196

    assert np.abs(placed.mean(axis=0) - [6.5 * 24, 6.5 * 32]).max() < 2
    assert draw(nearly_even, "spotlight")[..., 2].max() <= 40


def test_heat_grows_with_lift() -> None:
    muted = draw(np.ones((14, 14)), "heat")
    weak, strong = (draw(np.full((14, 14), lift), "heat") for lift in (2.0, 8.0))

    assert 0 < np.abs(weak - muted).sum() < np.abs(strong - muted).sum()


@pytest.mark.parametrize("look", LOOKS)
def test_an_even_map_leaves_no_mark_anywhere(look: Look) -> None:
    shown = draw(np.ones((14, 14)), look)

    assert (shown == shown[0, 0]).all()


def test_contours_are_drawn_around_the_mass_and_leave_the_rest_alone() -> None:
    shown = draw(lift_at(6, 6), "contour")
    changed = np.argwhere((shown != [200, 120, 40]).any(axis=2))

    assert shown.max() > 240  # a white line
    assert np.abs(changed.mean(axis=0) - [6.5 * 24, 6.5 * 32]).max() < 2
    assert len(changed) < 0.05 * shown.shape[0] * shown.shape[1]


@pytest.mark.parametrize(("look", "ground"), [("spotlight", 0.68), ("contour", 1.0), ("heat", None)])
def test_the_map_fades_out_within_half_a_patch_of_what_was_seen_and_leaves_no_seam(look: Look, ground: float) -> None:
    shown = draw(np.full((14, 14), 8.0), look, CROPPED)
    bare = draw(np.ones((14, 14)), look)[0, 0]
    half = 16 * 294 / 224 / 2

    assert (shown[:, : int(77 - half)] == bare).all()
    assert ground is None or bare.tolist() == [round(ground * part) for part in (200, 120, 40)]
    assert np.abs(np.diff(shown[168, :120], axis=0)).max() < 40  # no edge


def test_a_given_full_lift_makes_maps_of_a_report_comparable() -> None:
    lift = np.full((14, 14), 8.0)

    assert (draw(lift, "spotlight", full=8.0) == [200, 120, 40]).all()
    assert (draw(lift, "spotlight", full=64.0) == [184, 110, 37]).all()


def test_the_result_is_rgb_of_the_display_size() -> None:
    large = Placement(width=2000, height=1500, input_width=224, input_height=224, box=(0, 0, 2000, 1500))
    photo = Image.new("L", (2000, 1500), 90)

    overlay = draw_overlay(photo, np.ones((7, 7)), patch_grid=PatchGrid(stride=32), placement=large)

    assert (overlay.mode, overlay.size) == ("RGB", (1024, 768))


def test_a_photo_that_is_not_the_placed_one_is_refused() -> None:
    with pytest.raises(ValueError, match="placement"):
        draw_overlay(Image.new("RGB", (336, 448)), np.ones((14, 14)), patch_grid=CELLS, placement=WHOLE)
    with pytest.raises(ValueError, match="there is no look 'jet'; there are spotlight, heat, contour"):
        draw(np.ones((14, 14)), "jet")


def test_heat_has_the_colours_of_inferno_and_grows_lighter() -> None:
    colors = heat_color(np.linspace(0, 1, 257))
    steps = ("000004", "57106e", "bc3754", "f98e09", "fcffa4")

    assert np.abs(colors[::64] - [list(bytes.fromhex(step)) for step in steps]).max() < 3
    assert (np.diff(colors @ [0.2126, 0.7152, 0.0722]) > -0.5).all()


def test_colours_are_those_that_matplotlib_looks_up() -> None:
    edges = np.arange(257) / 256
    strength = np.concatenate([edges, np.nextafter(edges, 0), np.linspace(0, 1, 999)]).astype(np.float32)

    assert np.array_equal(heat_color(strength), np.float32(255 * mpl.colormaps["inferno"](strength)[:, :3]))
    places = 0.5 - 0.4 * (0.35 + 0.65 * strength).astype(np.float64)
    assert np.array_equal(evidence_color(strength), np.float32(255 * mpl.colormaps["PuOr"](places)[:, :3]))


def draw_signed(evidence: np.ndarray, placement: Placement = WHOLE, **options) -> np.ndarray:
    photo = Image.new("RGB", (448, 336), (120, 120, 120))
    return np.asarray(draw_evidence(photo, evidence, patch_grid=CELLS, placement=placement, **options)).astype(int)


def test_evidence_is_orange_for_purple_against_and_clear_at_nothing() -> None:
    evidence = np.zeros((14, 14))
    evidence[3, 10], evidence[9, 2] = FULL_EVIDENCE / 196, -FULL_EVIDENCE / 196
    shown = draw_signed(evidence)
    orange, purple, nothing = shown[3 * 24 + 12, 10 * 32 + 16], shown[9 * 24 + 12, 2 * 32 + 16], shown[300, 300]

    assert orange[0] > orange[1] > orange[2]
    assert purple[2] > purple[0] > purple[1]
    assert np.ptp(nothing) <= 1
    assert (draw_signed(np.zeros((14, 14))) == nothing).all()


def test_evidence_for_and_against_is_equally_strong() -> None:
    evidence = np.linspace(-1, 1, 196).reshape(14, 14) * FULL_EVIDENCE / 196
    laid = map_to_photo(evidence, patch_grid=CELLS, placement=WHOLE).values * 196 / FULL_EVIDENCE
    ground = draw_signed(0 * evidence)
    marks, opacities = [], []
    for sign in (1, -1):
        mark, full = draw_signed(sign * evidence) - ground, evidence_color(sign * laid) - ground
        marks.append(mark.any(axis=2))
        opacities.append((mark * full).sum(axis=2) / (full**2).sum(axis=2))  # of the colour laid on the photo
    weak, strong = (draw_signed(np.full((14, 14), part * FULL_EVIDENCE / 196)) for part in (0.3, 0.9))

    assert np.abs(opacities[0] - opacities[1]).max() < 0.02  # half a step of 0 … 255 in pale colours
    assert np.ptp(opacities[0]) > 0.85
    assert all(mark[np.abs(laid) > 0.003].all() for mark in marks)
    assert not any(mark[np.abs(laid) < 0.001].any() for mark in marks)
    assert np.ptp(weak, axis=2).max() < np.ptp(strong, axis=2).min()


def test_the_scale_of_evidence_is_one_for_grids_of_any_size() -> None:
    fine, coarse = (draw_signed(np.full((side, side), 4 / side**2)) for side in (14, 7))

    assert (fine == coarse).all()


def test_evidence_lies_where_a_look_would_and_only_on_what_was_seen() -> None:
    shown = draw_signed(np.full((14, 14), 1.0), CROPPED)
    seen = np.ptp(shown, axis=2) > 20

    assert seen[22:314, 78:370].all()
    assert not seen[:, :76].any()
    assert not seen[:20].any()
    with pytest.raises(ValueError, match="placement"):
        draw_evidence(Image.new("RGB", (336, 448)), np.ones((14, 14)), patch_grid=CELLS, placement=WHOLE)


@pytest.mark.parametrize("sign", [1, -1])
def test_evidence_has_the_colours_of_puor_without_its_dark_ends(sign: int) -> None:
    steps = {1: ("fdb863", "e08214", "b35806"), -1: ("b2abd2", "8073ac", "542788")}[sign]
    strength = sign * (np.array([0.5, 0.75, 1.0]) - 0.35) / 0.65

    assert np.abs(evidence_color(strength) - [list(bytes.fromhex(step)) for step in steps]).max() < 3


def test_a_photo_of_which_several_pixels_became_one_is_drawn_as_the_whole() -> None:
    photo, lift = Image.new("RGB", (224, 168), (200, 120, 40)), lift_at(3, 10)
    shown = np.asarray(draw_overlay(photo, lift, patch_grid=CELLS, placement=WHOLE)).astype(int)

    assert (shown == draw(lift, "spotlight")).all()
