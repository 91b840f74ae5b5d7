import math

import numpy as np
import pytest
from PIL import Image
from torchvision import transforms
from torchvision.transforms import InterpolationMode

from pcn_cli.data.load.loaders import preprocess
from pcn_cli.data.load.open_image import open_photo
from pcn_cli.data.load.preprocessing import place, place_input
from pcn_cli.records.model import Preprocessing

FITS = ("crop", "pad", "squash")


def draw(width, height, seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("crop_pct", [0.875, 0.9, 0.95, 1.0])
@pytest.mark.parametrize(
    "size", [(500, 375), (375, 500), (256, 256), (224, 224), (257, 255), (31, 17), (1, 1), (1, 60), (3000, 40)]
)
def test_crop_equals_torchvision_bit_for_bit(size, crop_pct, interpolation):
    preprocessing = Preprocessing(height=224, width=224, crop_pct=crop_pct, interpolation=interpolation)
    pipeline = transforms.Compose(
        [
            transforms.Resize(int(224 / crop_pct), InterpolationMode(interpolation), antialias=True),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize(preprocessing.mean, preprocessing.std),
        ]
    )
    photo = draw(*size)
    result = preprocess(photo, preprocessing)
    assert result.dtype == np.float32
    assert np.array_equal(result, pipeline(photo).numpy())


@pytest.mark.parametrize("target", [(224, 320), (320, 192), (64, 256)])
@pytest.mark.parametrize("size", [(500, 375), (375, 500), (40, 900)])
def test_inputs_that_are_not_square_equal_timm(size, target):
    timm_data = pytest.importorskip("timm.data")
    preprocessing = Preprocessing(height=target[0], width=target[1])
    pipeline = timm_data.create_transform(
        (3, *target),
        interpolation="bicubic",
        crop_pct=0.875,
        mean=preprocessing.mean,
        std=preprocessing.std,
    )
    photo = draw(*size)
    assert np.array_equal(preprocess(photo, preprocessing), pipeline(photo).numpy())


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", [(1, 4000), (4000, 3), (1, 1), (20000, 2)])
def test_extreme_shapes_give_a_whole_input(size, fit):
    preprocessing = Preprocessing(height=64, width=96, fit=fit)
    result = preprocess(draw(*size), preprocessing)
    assert result.shape == (3, 64, 96)
    assert np.isfinite(result).all()
    box = place_input(preprocessing, *size).box
    assert box[0] < box[2]
    assert box[1] < box[3]


def test_cutting_before_resizing_gives_nearly_the_same_input(monkeypatch):
    photo, preprocessing = draw(30, 700), Preprocessing(height=64, width=64)
    exact = preprocess(photo, preprocessing)
    monkeypatch.setattr("pcn_cli.data.load.preprocessing._MAX_RESIZED_PIXELS", 0)
    difference = np.abs(preprocess(photo, preprocessing) - exact)
    # Noise is the worst case: Pillow's two passes round and clip in another order.
    assert difference.mean() < 0.01
    assert difference.max() < 0.4


def test_padding_is_the_mean_colour():
    preprocessing = Preprocessing(height=64, width=64, fit="pad")
    result = preprocess(Image.new("RGB", (100, 50), "white"), preprocessing)
    assert (result[:, :16] == 0).all()
    assert (result[:, 48:] == 0).all()
    assert (result[:, 16:48] > 1).all()


def test_squash_keeps_everything():
    photo = Image.new("RGB", (100, 50), "black")
    photo.paste("white", (0, 0, 50, 50))
    result = preprocess(photo, Preprocessing(height=32, width=32, fit="squash"))
    assert (result[:, :, :12] > 1).all()
    assert (result[:, :, 20:] < -1).all()


def test_other_modes_are_converted():
    preprocessing = Preprocessing(height=32, width=32)
    grey = draw(40, 40).convert("L")
    assert np.array_equal(preprocess(grey, preprocessing), preprocess(grey.convert("RGB"), preprocessing))


def test_pixels_are_placed_where_it_is_told():
    pixels, window = place(np.full((2, 3, 3), 255, np.uint8), Preprocessing(height=5, width=6), left=2, top=1)
    assert window == (2, 1, 5, 3)
    assert np.count_nonzero(pixels) == 3 * 6
    assert (pixels[1:3, 2:5] == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("stored", [(300, 200), (200, 300), (240, 240)])
@pytest.mark.parametrize("target", [(224, 224), (160, 224)])
def test_a_bright_square_comes_back_to_its_place(tmp_path, orientation, fit, stored, target):
    width, height = stored
    left, top, side = round(width * 0.42), round(height * 0.36), 20
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[top : top + side, left : left + side] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / "photo.png", exif=exif)
    photo = open_photo(tmp_path / "photo.png")
    assert photo.size == (stored if orientation < 5 else stored[::-1])
    bright = np.asarray(photo)[..., 0] > 127
    expected = [np.flatnonzero(bright.any(0))[[0, -1]], np.flatnonzero(bright.any(1))[[0, -1]]]

    preprocessing = Preprocessing(height=target[0], width=target[1], fit=fit)
    found = preprocess(photo, preprocessing)[0] > 0.2
    placement = place_input(preprocessing, *photo.size)
    assert (placement.input_height, placement.input_width) == target
    assert (placement.width, placement.height) == photo.size
    x0, y0, x1, y1 = placement.box
    for axis, (start, end, length) in enumerate([(x0, x1, target[1]), (y0, y1, target[0])]):
        inside = np.flatnonzero(found.any(axis))
        edges = start + np.array([inside[0], inside[-1] + 1]) * (end - start) / length
        assert abs(edges[0] - expected[axis][0]) <= 1
        assert abs(edges[1] - (expected[axis][1] + 1)) <= 1


@pytest.mark.parametrize(
    ("fit", "box"),
    [("crop", (62.5, 12.5, 237.5, 187.5)), ("pad", (0, -50, 300, 250)), ("squash", (0, 0, 300, 200))],
)
def test_the_placement_says_what_was_seen(fit, box):
    placement = place_input(Preprocessing(height=224, width=224, fit=fit), 300, 200)
    assert all(math.isclose(a, b, abs_tol=1.1) for a, b in zip(placement.box, box, strict=True))
