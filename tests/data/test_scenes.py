"""The truth of drawn scenes is exact: masks, boxes and COCO's run lengths tell the same of the same pixels."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pcn_cli.data.scenes import KINDS, draw_scene, draw_scenes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    draw_scenes(folder, 6, seed=3)
    return folder


def decode(segmentation: dict) -> np.ndarray:
    values = np.repeat(np.arange(len(segmentation["counts"])) % 2 == 1, segmentation["counts"])
    return values.reshape(segmentation["size"], order="F")


def test_masks_and_annotations_tell_the_same(folder: Path):
    truth = json.loads((folder / "coco.json").read_text())
    assert [one["name"] for one in truth["categories"]] == list(KINDS)
    assert len(truth["images"]) == 6
    for image in truth["images"]:
        classes = np.asarray(Image.open(folder / "masks" / image["file_name"].replace("jpg", "png")))
        with Image.open(folder / "photos" / image["file_name"]) as photo:
            assert photo.size == classes.shape[::-1] == (image["width"], image["height"])
        own = [one for one in truth["annotations"] if one["image_id"] == image["id"]]
        assert 1 <= len(own) <= 3
        again = np.zeros_like(classes)
        for one in own:
            mask = decode(one["segmentation"])
            assert mask.sum() == one["area"]
            assert not again[mask].any()  # what is hidden belongs to what hides it
            again[mask] = one["category_id"]
            left, top, width, height = one["bbox"]
            assert mask[top : top + height, left : left + width].sum() == one["area"]
            assert all(edge.any() for edge in (mask[top], mask[:, left], mask[top + height - 1]))
        assert np.array_equal(again, classes)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools
def test_pycocotools_reads_the_masks(folder: Path, capsys):
    coco = pytest.importorskip("pycocotools.coco").COCO(str(folder / "coco.json"))
    for one in coco.anns.values():
        assert np.array_equal(coco.annToMask(one).astype(bool), decode(one["segmentation"]))
    assert capsys.readouterr().err == ""


def test_things_stand_out_from_the_ground_where_their_mask_is(folder: Path):
    photo, things = draw_scene(160, 128, 3, np.random.default_rng(5))
    empty = np.asarray(photo, dtype=np.float64).std(axis=2)  # the ground is in no strong colour, the things are
    for _, mask in things:
        assert empty[mask].mean() > 1.5 * empty[~np.logical_or.reduce([one for _, one in things])].mean()


def test_a_seed_gives_the_same_photos(folder: Path, tmp_path: Path):
    draw_scenes(tmp_path, 2, seed=3)
    for name in ("photos/000.jpg", "photos/001.jpg", "masks/001.png"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()
    draw_scenes(tmp_path, 1, seed=4)
    assert (tmp_path / "photos/000.jpg").read_bytes() != (folder / "photos/000.jpg").read_bytes()
