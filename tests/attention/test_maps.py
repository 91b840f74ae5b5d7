import numpy as np
import pytest

from pcn_cli.attention.maps import (
    attention_numbers,
    choose_weights,
    full_lift,
    image_shares,
    lift_maps,
    lift_strength,
    look_maps,
)
from pcn_cli.records.model import PatchGrid, Placement
from pcn_cli.records.predictions import AttentionNumbers

# An input of 64 × 32 pixels that is the whole of a 640 × 320 picture: ten pixels of the picture to one of the input.
PLACED = Placement(width=640, height=320, input_width=64, input_height=32, box=(0, 0, 640, 320))
GRID = (2, 4)


def numbers_of(look: np.ndarray, **patch_grid: float) -> AttentionNumbers:
    return attention_numbers(look, 0.75, patch_grid=PatchGrid(**patch_grid), placement=PLACED)


def test_look_leaves_out_what_the_class_token_kept() -> None:
    weights = np.array([[[0.2, 0.4, 0.1, 0.1, 0.2]]], dtype=np.float32)  # (B, 1, N+1)

    assert look_maps(weights, (2, 2)) == pytest.approx(np.array([[[[0.5, 0.125], [0.125, 0.25]]]]))
    assert image_shares(weights, (2, 2)) == pytest.approx(np.array([[0.8]]))


def test_class_tokens_have_a_map_each_and_take_everything_from_the_picture() -> None:
    weights = np.array([[[0.7, 0.3], [0.1, 0.9], [0.5, 0.5]]])  # (B, K, N)

    assert look_maps(weights, (1, 2)).shape == (1, 3, 1, 2)
    assert image_shares(weights, (1, 2)) == pytest.approx(np.ones((1, 3)))
    assert choose_weights(weights, [1]).tolist() == [[0.1, 0.9]]


def test_one_class_token_gives_its_map_whatever_the_class() -> None:
    weights = np.array([[[0.2, 0.3, 0.5]], [[0.4, 0.4, 0.2]]])

    assert choose_weights(weights, [7, 3]).tolist() == weights[:, 0].tolist()


def test_a_token_that_kept_everything_gives_the_even_map() -> None:
    weights = np.array([1.0, 0, 0, 0, 0])

    assert look_maps(weights, (2, 2)).tolist() == [[0.25, 0.25], [0.25, 0.25]]
    assert image_shares(weights, (2, 2)) == 0


@pytest.mark.parametrize("grid", [(1, 1), (2, 4), (14, 14), (24, 7)])
def test_a_uniform_map_has_lift_one_and_gini_zero(grid: tuple[int, int]) -> None:
    look = look_maps(np.full(grid[0] * grid[1] + 1, 0.01), grid)
    numbers = numbers_of(look)

    assert lift_maps(look) == pytest.approx(np.ones(grid))
    assert numbers.gini == pytest.approx(0, abs=1e-12)
    assert numbers.effective_patches == pytest.approx(grid[0] * grid[1])
    assert numbers.border_share == pytest.approx(1)
    assert not lift_strength(lift_maps(look)).round(9).any()


def test_numbers_of_a_map_worked_out_by_hand() -> None:
    look = np.array([[0.5, 0.25, 0, 0], [0.125, 0.125, 0, 0]])

    numbers = numbers_of(look)

    assert numbers.image_share == 0.75
    # H = ½ ln 2 + ¼ ln 4 + 2 · ⅛ ln 8 = 1.75 ln 2
    assert numbers.effective_patches == pytest.approx(2**1.75)
    # sorted 0 0 0 0 ⅛ ⅛ ¼ ½ with ranks 1 … 8: Σ (2i − 9) x = ⅛ + ⅜ + 1.25 + 3.5 = 5.25, over N = 8
    assert numbers.gini == pytest.approx(5.25 / 8)
    assert numbers.mass50 == pytest.approx(1 / 8)
    assert numbers.mass80 == pytest.approx(3 / 8)
    assert numbers.border_share == pytest.approx(1)  # two rows are all border
    # patch (r, c) is centred at input pixel (0.5 + 16 c, 0.5 + 16 r)
    assert (numbers.peak_x, numbers.peak_y) == pytest.approx((5, 5))
    assert (numbers.center_x, numbers.center_y) == pytest.approx((5 + 160 * 0.375, 5 + 160 * 0.25))


def test_one_patch_alone_is_as_unequal_as_can_be() -> None:
    look = np.zeros((3, 4))
    look[1, 2] = 1

    numbers = numbers_of(look)

    assert numbers.gini == pytest.approx(11 / 12)
    assert numbers.effective_patches == pytest.approx(1)
    assert numbers.mass50 == numbers.mass80 == pytest.approx(1 / 12)
    assert numbers.border_share == 0


def test_border_share_compares_the_ring_with_its_area() -> None:
    look = np.zeros((4, 4))
    look[0, :] = 0.15  # 0.6 in a ring of 12 of 16 patches
    look[1:3, 1:3] = 0.1

    assert numbers_of(look).border_share == pytest.approx(0.6 / 0.75)


def test_places_follow_the_offset_of_the_backbone() -> None:
    look = np.array([[0, 0, 0, 1.0], [0, 0, 0, 0]])

    numbers = numbers_of(look, stride=16, offset=8)

    assert (numbers.peak_x, numbers.peak_y) == pytest.approx((560, 80))


def test_places_in_padding_move_to_the_edge_of_the_picture() -> None:
    padded = Placement(width=640, height=320, input_width=64, input_height=64, box=(0, -160, 640, 480))
    look = np.zeros((4, 4))
    look[0, 1] = 1  # y = 0.5 of 64: above the picture

    numbers = attention_numbers(look, 1.0, patch_grid=PatchGrid(), placement=padded)

    assert (numbers.peak_x, numbers.peak_y) == pytest.approx((165, 0))


def test_half_precision_maps_give_the_same_numbers_within_their_precision() -> None:
    look = np.random.default_rng(0).dirichlet(np.ones(196)).reshape(14, 14)

    exact, stored = numbers_of(look), numbers_of(look.astype(np.float16))

    assert stored.effective_patches == pytest.approx(exact.effective_patches, rel=1e-2)
    assert stored.center_x == pytest.approx(exact.center_x, rel=1e-2)


def test_weights_that_are_no_weights_are_refused() -> None:
    with pytest.raises(ValueError, match="7 weights do not fit a grid of 2 × 4 patches"):
        look_maps(np.ones(7), GRID)
    with pytest.raises(ValueError, match="finite"):
        look_maps(np.array([0.5, np.nan]), (1, 2))
    with pytest.raises(ValueError, match="≥ 0"):
        look_maps(np.array([1.5, -0.5]), (1, 2))


def test_strength_is_logarithmic_between_one_and_full() -> None:
    strength = lift_strength(np.array([0.0, 0.5, 1, 2, 4, 8, 100]), full=8)

    assert strength == pytest.approx(np.array([0, 0, 0, 1 / 3, 2 / 3, 1, 1]))
    with pytest.raises(ValueError, match="above an even spread"):
        lift_strength(np.ones(2), full=1)


def test_full_lift_of_a_report_never_falls_below_eight() -> None:
    assert full_lift([]) == 8
    assert full_lift([np.full((2, 2), 3.0)]) == 8
    assert full_lift([np.full((2, 2), 20.0), np.full((3, 3), 20.0)]) == 20
