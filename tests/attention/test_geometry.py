from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from pcn_cli.attention.geometry import (
    display_size,
    map_to_photo,
    mass_threshold,
    mirror_map,
    patch_centers,
    seen_mask,
    whole_input,
)
from pcn_cli.attention.maps import attention_numbers
from pcn_cli.data.load.loaders import preprocess
from pcn_cli.data.load.open_image import open_photo
from pcn_cli.data.load.preprocessing import place_input
from pcn_cli.records.model import PatchGrid, Placement, Preprocessing
from pcn_cli.records.photos import Fit

SIZE = 224
SHAPES = {"portrait": (600, 800), "landscape": (800, 600), "square": (700, 700)}
FITS = get_args(Fit)


def place(width: int, height: int, fit: Fit) -> Placement:
    return place_input(Preprocessing(height=SIZE, width=SIZE, fit=fit), width, height)


def look_at_bright(inputs: np.ndarray, patch_grid: PatchGrid) -> np.ndarray:
    """The map of a network that looks at brightness: each patch weighs its surroundings by a tent of one stride."""
    bright = np.maximum(0, inputs.mean(axis=0) - 1).astype(np.float64)  # black and the padding's mean colour are dark
    centers = np.arange(SIZE) + 0.5
    patches = patch_grid.offset + patch_grid.stride * np.arange((SIZE - patch_grid.offset) // patch_grid.stride + 1)
    tents = np.maximum(0, 1 - np.abs(centers - patches[:, None]) / patch_grid.stride)
    look = tents @ bright @ tents.T
    return look / look.sum()


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("patch_grid", [PatchGrid(), PatchGrid(stride=32, offset=16)], ids=["stem", "cell centre"])
def test_a_bright_square_comes_back_where_it_was(
    tmp_path: Path, patch_grid: PatchGrid, orientation: int, shape: str, fit: Fit
) -> None:
    width, height = SHAPES[shape]
    upright = Image.new("RGB", (width, height))
    upright.paste((255, 255, 255), (250, 290, 310, 350))
    store(upright, orientation, tmp_path / "photo.png")
    preprocessing = Preprocessing(height=SIZE, width=SIZE, fit=fit)

    photo = open_photo(tmp_path / "photo.png")
    placement = place_input(preprocessing, *photo.size)
    look = look_at_bright(preprocess(photo, preprocessing), patch_grid)
    numbers = attention_numbers(look, 1.0, patch_grid=patch_grid, placement=placement)
    laid = map_to_photo(look, patch_grid=patch_grid, placement=placement, size=(width, height)).values
    y, x = np.mgrid[:height, :width] + 0.5

    assert photo.size == (width, height)
    assert (numbers.center_x, numbers.center_y) == pytest.approx((280, 320), abs=1)
    assert ((laid * x).sum() / laid.sum(), (laid * y).sum() / laid.sum()) == pytest.approx((280, 320), abs=1)


def store(upright: Image.Image, orientation: int, path: Path) -> None:
    """The picture as a camera held another way stores it: turned pixels and a tag that turns them back."""
    turn = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }.get(orientation)
    exif = Image.Exif()
    exif[0x0112] = orientation
    (upright if turn is None else upright.transpose(turn)).save(path, exif=exif)


def test_the_stem_is_centred_half_a_pixel_into_its_first_patch() -> None:
    whole = Placement(width=224, height=224, input_width=224, input_height=224, box=(0, 0, 224, 224))

    x, y = patch_centers((14, 14), patch_grid=PatchGrid(), placement=whole)

    assert x[:3].tolist() == y[:3].tolist() == [0.5, 16.5, 32.5]  # 7.5 px before the cells' centres 8, 24, 40


def test_values_are_exact_at_patch_centres_and_linear_between() -> None:
    placement = Placement(width=64, height=32, input_width=64, input_height=32, box=(0, 0, 64, 32))
    values = np.random.default_rng(0).random((2, 4))

    laid = map_to_photo(values, patch_grid=PatchGrid(), placement=placement, size=(64, 32)).values

    assert laid[::16, ::16] == pytest.approx(values, abs=1e-6)
    assert laid[0, 8] == pytest.approx((values[0, 0] + values[0, 1]) / 2, abs=1e-6)
    assert laid[8, 0] == pytest.approx((values[0, 0] + values[1, 0]) / 2, abs=1e-6)


def test_beyond_the_outermost_centres_the_map_is_level() -> None:
    placement = Placement(width=64, height=32, input_width=64, input_height=32, box=(0, 0, 64, 32))

    laid = map_to_photo(np.array([[1.0, 2, 3, 4]]), patch_grid=PatchGrid(), placement=placement, size=(64, 32)).values

    assert laid[:, 49:] == pytest.approx(4)
    assert (laid == laid[:1]).all()  # a grid of one row is level from top to bottom


def test_true_patches_take_the_value_of_the_nearest_centre() -> None:
    placement = Placement(width=64, height=16, input_width=64, input_height=16, box=(0, 0, 64, 16))
    values = np.array([[1.0, 2, 3, 4]])

    stem = map_to_photo(values, patch_grid=PatchGrid(), placement=placement, size=(64, 16), smooth=False).values
    cells = map_to_photo(
        values, patch_grid=PatchGrid(offset=8), placement=placement, size=(64, 16), smooth=False
    ).values

    assert cells[0].tolist() == np.repeat([1, 2, 3, 4], 16).tolist()
    assert stem[0].tolist() == [1] * 8 + [2] * 16 + [3] * 16 + [4] * 24


def test_any_grid_fits_any_picture() -> None:
    placement = Placement(width=1000, height=300, input_width=256, input_height=64, box=(0, 0, 1000, 300))

    laid = map_to_photo(np.eye(4, 16), patch_grid=PatchGrid(), placement=placement, size=(500, 150))

    assert laid.values.shape == laid.seen.shape == (150, 500)
    assert laid.seen.all()


def test_a_crop_leaves_the_outside_unseen() -> None:
    cropped = Placement(width=800, height=600, input_width=224, input_height=224, box=(137.5, 37.5, 662.5, 562.5))
    seen = seen_mask(cropped, size=(800, 600))

    assert seen[300].nonzero()[0][[0, -1]].tolist() == [137, 662]
    assert seen[:, 400].nonzero()[0][[0, -1]].tolist() == [37, 562]


@pytest.mark.parametrize("fit", ["pad", "squash"])
def test_padding_and_squashing_see_everything(fit: Fit) -> None:
    assert seen_mask(place(800, 600, fit)).all()


def test_the_display_is_never_larger_than_the_picture() -> None:
    assert display_size(place(4000, 3000, "crop")) == (1024, 768)
    assert display_size(place(320, 240, "crop")) == (320, 240)
    assert display_size(place(5000, 2, "crop")) == (1024, 1)


def test_the_threshold_of_half_the_mass_encloses_half_of_it() -> None:
    placement = place(800, 600, "squash")
    values = np.random.default_rng(1).dirichlet(np.full(196, 0.3)).reshape(14, 14)

    level = mass_threshold(values, 0.5, patch_grid=PatchGrid(), placement=placement)
    laid = map_to_photo(values, patch_grid=PatchGrid(), placement=placement).values

    assert laid[laid >= level].sum() / laid.sum() == pytest.approx(0.5, abs=0.01)


def test_maps_without_an_extent_are_refused() -> None:
    empty = Placement(width=10, height=10, input_width=8, input_height=8, box=(5, 0, 5, 10))

    with pytest.raises(ValueError, match="expected a grid of values"):
        map_to_photo(np.ones(4), patch_grid=PatchGrid(), placement=place(10, 10, "crop"))
    with pytest.raises(ValueError, match="covers nothing"):
        map_to_photo(np.ones((2, 2)), patch_grid=PatchGrid(), placement=empty)


def test_columns_may_begin_elsewhere_than_rows() -> None:
    patch_grid, values = PatchGrid(offset=0.5, offset_x=8.0), np.zeros((14, 14), dtype=np.float32)
    values[4, 2] = 1

    x, y = patch_centers((14, 14), patch_grid=patch_grid, placement=whole_input(224, 224))
    laid = map_to_photo(values, patch_grid=patch_grid, placement=whole_input(224, 224), size=(224, 224)).values

    assert (x[2], y[4]) == (40, 64.5)
    assert laid.sum(axis=0) @ (np.arange(224) + 0.5) / laid.sum() == pytest.approx(40, abs=0.1)
    assert laid.sum(axis=1) @ (np.arange(224) + 0.5) / laid.sum() == pytest.approx(64.5, abs=0.1)
    # Columns that lie alike from both sides change places.
    assert mirror_map(values, patch_grid=patch_grid, width=224) == pytest.approx(values[:, ::-1])


@pytest.mark.parametrize("patch_grid", [PatchGrid(), PatchGrid(stride=32, offset=16)], ids=["stem", "cell centre"])
def test_a_mirrored_map_lies_where_the_mirrored_picture_has_it(patch_grid: PatchGrid) -> None:
    bright = np.zeros((3, SIZE, SIZE))
    bright[:, 80:120, 60:110] = 2
    look, mirrored = (look_at_bright(pixels, patch_grid) for pixels in (bright, bright[:, :, ::-1]))

    back = mirror_map(mirrored, patch_grid=patch_grid, width=SIZE)
    x = patch_grid.offset + patch_grid.stride * np.arange(look.shape[1])

    assert (back.sum(axis=0) / back.sum()) @ x == pytest.approx(look.sum(axis=0) @ x, abs=1)
    assert np.corrcoef(back.ravel(), look.ravel())[0, 1] > 0.98
