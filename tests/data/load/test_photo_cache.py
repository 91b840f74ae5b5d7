import hashlib
import os
import shutil
import time
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from pcn_cli.data.load import loaders
from pcn_cli.data.load.augment import SMALLEST_CUT, Augmentation
from pcn_cli.data.load.loaders import PhotoBatches, PhotoDataset
from pcn_cli.data.load.open_image import OpenedPhoto
from pcn_cli.data.load.photo_cache import KeptPhoto, PhotoCache
from pcn_cli.files import cache as file_cache
from pcn_cli.files.cache import FOLDERS
from pcn_cli.records.model import Preprocessing

PREPROCESSING = Preprocessing(height=48, width=48)
LEVELS = ("none", "light", "medium", "strong")


def augmentation(level="light", fit="crop"):
    return Augmentation(level=level, flip=True, preprocessing=replace(PREPROCESSING, fit=fit), seed=3)


@pytest.fixture
def cache(tmp_path):
    return PhotoCache(folder=tmp_path / "cache", limit=FOLDERS * 2**20)


@pytest.fixture
def scenes(tmp_path, draw_scene):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(6):
        draw_scene(number, width=400, height=300).save(folder / f"{number}.jpg", quality=95)
    return folder


def dataset(scenes, cache, vary=None, preprocessing=PREPROCESSING):
    files = sorted(path.name for path in scenes.iterdir())
    hashes = [hashlib.sha256((scenes / file).read_bytes()).hexdigest() for file in files]
    return PhotoDataset(scenes, files, preprocessing=preprocessing, augmentation=vary, cache=cache, hashes=hashes)


def kept_files(cache):
    return sorted(path for path in cache.folder.rglob("*") if path.is_file())


def key_of(number, folder="ab"):
    return folder + f"{number:062x}"


def photo_of(value, side=100):
    return KeptPhoto(np.full((side, side, 3), value, np.uint8), (0, 0, side, side), (side * 4, side * 4))


def same(first, second):
    return np.array_equal(first.pixels, second.pixels) and first[3:] == second[3:]


def test_what_was_written_is_read_whole(cache):
    pixels = np.random.default_rng(0).integers(0, 256, (31, 47, 3), dtype=np.uint8)
    cache.write(key_of(1), KeptPhoto(pixels, (1, 2, 40, 30), (4700, 3100)))
    found = cache.read(key_of(1))
    assert np.array_equal(found.pixels, pixels)
    assert found[1:] == ((1, 2, 40, 30), (4700, 3100))
    assert cache.read(key_of(2)) is None
    (folder,) = cache.folder.iterdir()
    assert folder.stat().st_mode & 0o077 == 0 or os.name == "nt"


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
def test_photos_are_decoded_once_for_all_epochs_and_runs(scenes, cache, monkeypatch, level, fit):
    vary = augmentation(level, fit)
    without_disk = dataset(scenes, replace(cache, limit=1), vary, vary.preprocessing)
    expected = [without_disk[epoch, row] for epoch in range(2) for row in range(6)]
    assert not kept_files(cache)
    photos = dataset(scenes, cache, vary, vary.preprocessing)
    assert all(map(same, [photos[0, row] for row in range(6)], expected[:6]))
    assert len(kept_files(cache)) == 6
    again = dataset(scenes, replace(cache, started=time.time()), vary, vary.preprocessing)
    monkeypatch.setattr(loaders, "decode_photo", lambda *_, **__: pytest.fail("decoded again"))
    assert all(map(same, [again[1, row] for row in range(6)], expected[6:]))


def test_evaluation_is_the_same_to_the_last_bit(scenes, cache):
    plain = dataset(scenes, None)
    for _ in range(2):
        assert all(same(dataset(scenes, cache)[0, row], plain[0, row]) for row in range(6))


@pytest.mark.parametrize("level", ["light", "medium", "strong"])
def test_varied_photos_differ_by_no_more_than_another_resizing(scenes, cache, level):
    plain, kept = dataset(scenes, None, augmentation(level)), dataset(scenes, cache, augmentation(level))
    apart = [
        np.abs(kept[epoch, row].pixels.astype(float) - plain[epoch, row].pixels).mean()
        for epoch in range(4)
        for row in range(6)
    ]
    assert all(kept[0, row].size == (400, 300) for row in range(6))
    assert 0 < np.median(apart) < 2.5


@pytest.mark.parametrize("level", ["light", "medium", "strong"])
@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
@pytest.mark.parametrize("size", [(4000, 3000), (900, 1600), (3000, 200), (60, 50), (1, 1)])
def test_no_cut_of_a_kept_photo_is_enlarged_that_was_not_before(level, fit, size):
    vary = augmentation(level, fit)
    kept = vary._kept_size(*size)
    assert all(1 <= side <= whole for side, whole in zip(kept, size, strict=True))
    for sample in range(100):
        box = vary._draw_box(*size, vary._generator(0, sample))
        cut = [(box[2] - box[0]) * kept[0] / size[0], (box[3] - box[1]) * kept[1] / size[1]]
        enters = vary._cut_size(box)
        whole = min(1.0, (box[2] - box[0]) / enters[0], (box[3] - box[1]) / enters[1])
        assert min(cut[0] / enters[0], cut[1] / enters[1]) >= 0.97 * whole


def test_a_photo_that_changed_is_used_as_it_is_and_not_kept(scenes, cache, draw_scene):
    photos = dataset(scenes, cache)
    draw_scene(77, width=400, height=300).save(scenes / "2.jpg", quality=95)
    assert same(photos[0, 2], dataset(scenes, None)[0, 2])
    assert not kept_files(cache)


def test_another_preparation_is_another_entry(scenes, cache):
    dataset(scenes, cache)[0, 0]
    dataset(scenes, cache, augmentation("light"))[0, 0]
    dataset(scenes, cache, preprocessing=replace(PREPROCESSING, crop_pct=1.0))[0, 0]
    assert len(kept_files(cache)) == 3


def test_hashes_of_a_foreign_table_lead_nowhere_else(scenes, cache, tmp_path):
    photos = PhotoDataset(
        scenes, ["0.jpg"], preprocessing=PREPROCESSING, cache=cache, hashes=["../../../elsewhere/a/b/c"]
    )
    assert photos[0, 0].pixels is not None
    assert {path.name for path in tmp_path.iterdir()} <= {"cache", "photos"}


@pytest.mark.parametrize("damage", ["cut", "zeros", "empty", "mark", "longer"])
def test_a_damaged_file_is_made_again(scenes, cache, damage):
    photos, plain = dataset(scenes, cache), dataset(scenes, None)
    photos[0, 0]
    (path,) = kept_files(cache)
    content = path.read_bytes()
    path.write_bytes(
        {
            "cut": content[:-100],
            "zeros": content[:1000] + bytes(len(content) - 1000),  # a power cut before the disk had all of it
            "empty": b"",
            "mark": b"pcn9" + content[4:],
            "longer": content + b"x",
        }[damage]
    )
    assert same(photos[0, 0], plain[0, 0])
    assert path.read_bytes() == content


def test_nothing_is_kept_on_a_disk_that_is_nearly_full(scenes, cache, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**12, 10**12 - 2**30, 2**30))
    monkeypatch.setattr(file_cache, "SPARE_BYTES", 4 * 2**30)
    assert same(dataset(scenes, cache)[0, 0], dataset(scenes, None)[0, 0])
    assert not kept_files(cache)


@pytest.mark.parametrize("error", [OSError(28, "no space left"), PermissionError(13, "denied")])
def test_what_cannot_be_written_is_decoded_again(scenes, cache, monkeypatch, error):
    def refuse(*_, **__):
        raise error

    monkeypatch.setattr(file_cache, "replacing", refuse)
    assert same(dataset(scenes, cache)[0, 0], dataset(scenes, None)[0, 0])


def test_a_folder_that_is_a_file_does_not_stand_in_the_way(scenes, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    cache = PhotoCache(folder=tmp_path / "file", limit=2**30)
    assert same(dataset(scenes, cache)[0, 0], dataset(scenes, None)[0, 0])


def test_many_may_write_and_read_the_same_photos(cache):
    def work(number):
        key = key_of(number % 4)
        cache.write(key, photo_of(number % 4))
        found = cache.read(key)
        return found is not None and bool((found.pixels == number % 4).all())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(80)))
    assert len(kept_files(cache)) == 4


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_do_not_depend_on_what_is_kept(scenes, cache, workers):
    def load(cache, workers=0):
        batches = PhotoBatches(dataset(scenes, cache, augmentation("medium")), batch_size=4, workers=workers)
        images = [batch.images for epoch in range(2) for batch in batches.batches(epoch)]
        batches.close()
        return torch.cat(images)

    assert torch.equal(load(cache, workers), load(replace(cache, limit=1)))
    assert torch.equal(load(cache), load(cache, workers))


def test_a_missing_photo_is_still_told_where_it_is_not_kept(scenes, cache):
    photos = dataset(scenes, cache)
    photos[0, 0]
    (scenes / "0.jpg").unlink()
    (scenes / "1.jpg").unlink()
    assert photos[0, 0].pixels is not None
    assert "does not exist" in photos[0, 1].reason


def test_kept_photos_are_reduced_ones():
    vary = augmentation("light")
    photo = OpenedPhoto.whole(Image.new("RGB", (4000, 3000)))
    kept = vary.keep(photo)
    smallest = 48 / (SMALLEST_CUT["light"] * 0.75 / (4 / 3)) ** 0.5  # the height of which a slender cut still has 48
    assert kept.pixels.shape[0] <= 1.4 * smallest
    assert kept.size == (4000, 3000)
