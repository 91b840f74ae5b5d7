import numpy as np
import pytest
from PIL import Image

from pcn_cli.attention.overlay import LOOKS, Look, draw_overlay
from pcn_cli.attention.palettes import _STEPS, Palette, color_of
from pcn_cli.records.model import PatchGrid
from pcn_cli.records.preprocessing import Placement

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


def test_the_spotlight_leaves_the_attended_as_it_is_and_dims_the_rest() -> None:
    shown = draw(lift_at(3, 10), "spotlight", smooth=False)

    assert shown[3 * 24 + 12, 10 * 32 + 16].tolist() == [200, 120, 40]
    assert shown[300, 50].max() < 80


def test_heat_grows_with_lift() -> None:
    muted = draw(np.ones((14, 14)), "heat")
    weak, strong = (draw(np.full((14, 14), lift), "heat") for lift in (2.0, 8.0))

    assert 0 < np.abs(weak - muted).sum() < np.abs(strong - muted).sum()


@pytest.mark.parametrize("look", LOOKS)
def test_an_even_map_leaves_no_mark_anywhere(look: Look) -> None:
    shown = draw(np.ones((14, 14)), look)

    assert (shown == shown[0, 0]).all()


@pytest.mark.parametrize("smooth", [True, False])
def test_contours_are_drawn_around_the_mass_and_leave_the_rest_alone(smooth: bool) -> None:
    shown = draw(lift_at(6, 6), "contour", smooth=smooth)
    changed = np.argwhere((shown != [200, 120, 40]).any(axis=2))

    assert shown.max() > 240  # a white line
    assert np.abs(changed.mean(axis=0) - [6.5 * 24, 6.5 * 32]).max() < 2
    assert len(changed) < 0.05 * shown.shape[0] * shown.shape[1]


@pytest.mark.parametrize("look", LOOKS)
def test_what_was_never_seen_is_dimmed_and_hatched(look: Look) -> None:
    shown = draw(np.full((14, 14), 8.0), look, CROPPED)
    unseen = shown[:, :77]

    assert unseen.max() < 120
    assert len(np.unique(unseen)) > 1  # lines on a ground
    assert np.ptp(unseen, axis=2).max() <= 1  # without colour


def test_a_given_full_lift_makes_maps_of_a_report_comparable() -> None:
    lift = np.full((14, 14), 8.0)

    assert (draw(lift, "spotlight", full=8.0) == [200, 120, 40]).all()
    assert (draw(lift, "spotlight", full=64.0) < [190, 110, 60]).all()


def test_the_result_is_rgb_of_the_display_size() -> None:
    large = Placement(width=2000, height=1500, input_width=224, input_height=224, box=(0, 0, 2000, 1500))
    photo = Image.new("L", (2000, 1500), 90)

    overlay = draw_overlay(photo, np.ones((7, 7)), patch_grid=PatchGrid(stride=32), placement=large, longest=512)

    assert (overlay.mode, overlay.size) == ("RGB", (512, 384))


def test_a_photo_that_is_not_the_placed_one_is_refused() -> None:
    with pytest.raises(ValueError, match="placement"):
        draw_overlay(Image.new("RGB", (336, 448)), np.ones((14, 14)), patch_grid=CELLS, placement=WHOLE)
    with pytest.raises(ValueError, match="there is no look 'jet'; there are spotlight, heat, contour"):
        draw(np.ones((14, 14)), "jet")


@pytest.mark.parametrize("palette", _STEPS)
def test_palettes_follow_the_originals_and_grow_lighter(palette: Palette) -> None:
    import matplotlib as mpl

    strength = np.linspace(0, 1, 256)
    colors = color_of(strength, palette)

    assert np.abs(colors - 255 * mpl.colormaps[palette](strength)[:, :3]).max() < 12
    assert (np.diff(colors @ [0.2126, 0.7152, 0.0722]) > -0.5).all()
