import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from pcn_cli.data.load.augment import SMALLEST_CUT, Augmentation, draw_box
from pcn_cli.data.load.loaders import preprocess
from pcn_cli.data.load.open_image import OpenedPhoto
from pcn_cli.data.load.preprocessing import FILTERS
from pcn_cli.records.model import Preprocessing
from pcn_cli.tensors.pixels import Norm, normalise

LEVELS = ("light", "medium", "strong")
FITS = ("crop", "pad", "squash")


def augmentation(level, fit="crop", *, flip=True, seed=5, height=48, width=64):
    return Augmentation(
        level=level, flip=flip, preprocessing=Preprocessing(height=height, width=width, fit=fit), seed=seed
    )


def draw_noise():
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8))


@pytest.fixture
def photo():
    return draw_noise()


def draw(augment, photo, *, epoch=1, sample=0):
    """The normalised input (3, h, w)."""
    pixels, window = augment(OpenedPhoto.whole(photo), epoch=epoch, sample=sample)
    norm = Norm(augment.preprocessing.mean, augment.preprocessing.std)
    return normalise(torch.from_numpy(pixels)[None].permute(0, 3, 1, 2), norm, torch.tensor([window]))[0].numpy()


def draw_many(augment, photo, count=12):
    return np.stack([draw(augment, photo, sample=sample) for sample in range(count)])


@pytest.mark.parametrize("fit", FITS)
def test_level_none_is_evaluation(photo, fit):
    result = draw(augmentation("none", fit), photo, epoch=3, sample=7)
    assert np.array_equal(result, preprocess(photo, Preprocessing(height=48, width=64, fit=fit)))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("fit", FITS)
def test_randomness_is_a_function_of_seed_epoch_and_sample(photo, level, fit):
    augment = augmentation(level, fit)
    first = draw_many(augment, photo)
    draw(augment, photo, epoch=9, sample=9)  # what was drawn before does not matter
    assert first.shape == (12, 3, 48, 64)
    assert first.dtype == np.float32
    assert np.array_equal(draw_many(pickle.loads(pickle.dumps(augment)), photo), first)
    assert len({picture.tobytes() for picture in first}) == 12
    assert not np.array_equal(draw(augment, photo, epoch=2), first[0])
    assert not np.array_equal(draw_many(augmentation(level, fit, seed=6), photo), first)


def test_global_random_state_is_neither_read_nor_changed(photo):
    import random

    augment = augmentation("strong")
    first = draw_many(augment, photo)
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002 - the old global state is what must not matter
    states = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    assert np.array_equal(draw_many(augment, photo), first)
    assert states == (random.getstate(), np.random.get_state()[1].tolist())  # noqa: NPY002


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_a_cut_is_what_pillow_makes_of_the_same_pixels(draw_scene, fit, interpolation):
    whole = OpenedPhoto.whole(draw_scene(2, width=301, height=207))
    target = Preprocessing(height=48, width=64, fit=fit, interpolation=interpolation)
    augment = Augmentation(level="light", flip=False, preprocessing=target, seed=5)
    for sample in range(8):
        box = augment._draw_box(*whole.size, augment._generator(0, sample))
        size = augment._cut_size(box)
        by_pillow = whole.image.resize(size, FILTERS[interpolation], box=tuple(map(round, box)))
        pixels, (left, top, right, bottom) = augment(whole, epoch=0, sample=sample)
        assert (right - left, bottom - top) == size
        apart = np.abs(pixels[top:bottom, left:right].astype(float) - np.asarray(by_pillow))
        assert apart.mean() < 0.2  # by weights of 16 bits; a pixel off would be whole levels
        assert np.quantile(apart, 0.99) <= 2


def test_flips_happen_in_half_of_the_cases_and_never_when_switched_off():
    photo = Image.new("RGB", (64, 64), "black")
    photo.paste("white", (0, 0, 32, 64))

    def count_left(flip):
        pictures = draw_many(augmentation("light", "squash", flip=flip, height=64), photo, count=200)
        return int((pictures[:, 0, :, :8].mean((1, 2)) > pictures[:, 0, :, -8:].mean((1, 2))).sum())

    assert count_left(flip=False) == 200
    assert 70 <= count_left(flip=True) <= 130


@pytest.mark.parametrize("level", LEVELS)
def test_padding_stays_the_mean_colour_and_the_shape_of_the_photo_is_kept(level):
    photo = Image.new("RGB", (100, 50), "white")
    for picture in draw_many(augmentation(level, "pad", height=64), photo):
        assert (picture[:, :15] == 0).all()
        assert (picture[:, 49:] == 0).all()
        assert np.abs(picture[:, 24:40]).mean() > 0.5


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 2), (5, 4)])
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("fit", FITS)
def test_tiny_and_extreme_photos_give_whole_inputs(size, level, fit):
    pictures = draw_many(augmentation(level, fit), Image.new("RGB", size, "orange"), count=20)
    assert np.isfinite(pictures).all()
    assert pictures.shape == (20, 3, 48, 64)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("size", [(400, 300), (300, 400), (1000, 30), (7, 7)])
@pytest.mark.parametrize("vary_aspect", [True, False])
def test_cuts_lie_inside_and_are_large_enough(level, size, vary_aspect):
    generator = np.random.default_rng(0)
    width, height = size
    aspect = 1.0 if vary_aspect else width / height
    fits = width / height < 1.9
    for _ in range(200):
        left, top, right, bottom = draw_box(
            width, height, aspect=aspect, smallest=SMALLEST_CUT[level], vary_aspect=vary_aspect, generator=generator
        )
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        if not vary_aspect:
            assert (right - left) * (bottom - top) >= SMALLEST_CUT[level] * width * height - 1e-6
            assert np.isclose((right - left) / (bottom - top), aspect)
        elif fits:
            assert (right - left) * (bottom - top) >= min(SMALLEST_CUT[level], 0.74) * width * height - 1e-6


def test_stronger_levels_change_colours():
    photo = Image.new("RGB", (64, 64), (120, 90, 60))
    spread = {level: draw_many(augmentation(level), photo, count=40).std() for level in LEVELS}
    light = draw_many(augmentation("light"), photo, count=40)
    assert np.ptp(light[:, 0]) < 0.02
    assert spread["medium"] > spread["light"]
    assert spread["strong"] > spread["light"]
