"""Crops: which box is of which photo, what it is called, and that its pixels are the photo's."""

import json
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

from pcn_cli.data.boxes import crops as crops_of_photos
from pcn_cli.data.boxes.crop_folder import cut_photos
from pcn_cli.data.boxes.cut import cut_named
from pcn_cli.data.load import open_image
from pcn_cli.data.load.open_image import open_photo, open_whole
from pcn_cli.data.scan.scan_photos import scan_photos
from pcn_cli.errors import DataError
from pcn_cli.files.atomic import sha256_of
from pcn_cli.recipe.schema import Labelling, PredictOptions

SIDEWAYS = 6  # EXIF's number of a photo that is to be turned


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three photos of two classes, of noise; one lies on its side and is turned as it is opened."""
    rng, root = np.random.default_rng(0), tmp_path / "photos"
    for number, label in enumerate(("deer", "deer", "fox")):
        (root / label).mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(rng.integers(0, 255, (30, 40, 3), dtype=np.uint8))
        exif = picture.getexif()
        exif[274] = SIDEWAYS if number == 1 else 1
        picture.save(root / label / f"{number}.png", exif=exif)
    return root


def table(folder: Path, *rows: str, head: str = "file,xmin,ymin,xmax,ymax,label") -> Labelling:
    (folder / "boxes.csv").write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return Labelling(crop_boxes=str(folder / "boxes.csv"))


def test_a_crop_has_the_upright_pixels_of_its_box_and_the_label_of_the_box_or_else_of_the_photo(photos, tmp_path):
    rows = ("deer/0.png,2,3,11,12,", "1.png,0,0,29,39,elk", "deer/0.png,0,0,4,5,elk", "2.png,1,1,1,1,")
    cut = cut_photos(photos, table(tmp_path, *rows), into=tmp_path / "crops")
    assert (cut.boxes, cut.photos, cut.unreadable, cut.ignored) == (4, 3, (), ())
    scan = scan_photos(tmp_path / "crops")
    told = {one.file: (one.label, one.width, one.height, one.group) for one in scan.photos}
    assert told == {
        "deer/0.png#1": ("deer", 10, 10, "deer/0.png"),
        "deer/0.png#2": ("elk", 5, 6, "deer/0.png"),
        "deer/1.png#1": ("elk", 30, 40, "deer/1.png"),
        "fox/2.png#1": ("fox", 1, 1, "fox/2.png"),
    }
    for file, edges in (("deer/0.png#1", (2, 3, 12, 13)), ("deer/1.png#1", (0, 0, 30, 40))):
        expected = open_photo(photos / file.partition("#")[0]).crop(edges)
        assert np.array_equal(np.asarray(open_photo(tmp_path / "crops" / file)), np.asarray(expected))
    assert {one.sha256 for one in scan.photos} == {sha256_of(tmp_path / "crops" / one.file) for one in scan.photos}


def test_each_photo_is_decoded_once_for_all_its_boxes(photos, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(crops_of_photos, "open_whole", lambda path, **_: opened.append(path) or open_whole(path))
    cut_photos(photos, table(tmp_path, *["0.png,0,0,9,9,"] * 5), into=tmp_path / "crops")
    assert opened == [photos / "deer" / "0.png"]
    assert len(list((tmp_path / "crops" / "deer").iterdir())) == 5


def test_labels_are_not_needed_of_the_folder_where_all_boxes_have_them(photos, tmp_path):
    flat = tmp_path / "flat"
    flat.mkdir()
    for photo in photos.rglob("*.png"):
        photo.rename(flat / photo.name)
    labelled = table(tmp_path, "0.png,0,0,9,9,elk", "2.png,0,0,9,9,hare")
    cut = cut_photos(flat, labelled, into=tmp_path / "crops", group_by="([0-9])")
    assert {one.label for one in scan_photos(tmp_path / "crops").photos} == {"elk", "hare"}
    assert [(one.file, one.reason) for one in cut.ignored] == [("1.png", "no box in boxes.csv")]
    with pytest.raises(DataError):
        cut_photos(flat, table(tmp_path, "0.png,0,0,9,9,"), into=tmp_path / "others")


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ("0.png,0,0,60,9,", "0.png: the box 0,0 – 60,9 is not in the photo"),
        ("9.png,0,0,6,9,", "9.png: is not among the photos"),
        ("../secret.png,0,0,6,9,", "../secret.png: is not among the photos"),
        ("0.png,nan,0,6,9,", "xmin is 'nan'"),
        ("0.png,6,0,2,9,", "the box 6,0 – 2,9 is not in the photo"),
        (",1,0,2,9,", "a row names no photo"),
    ],
)
def test_boxes_that_fit_no_photo_are_refused_before_anything_is_cut(photos, tmp_path, row, found):
    with pytest.raises(DataError, match=r"boxes\.csv has") as error:
        cut_photos(photos, table(tmp_path, "0.png,0,0,9,9,", row), into=tmp_path / "crops")
    assert found in error.value.message
    assert not (tmp_path / "crops").exists()


def test_a_photo_that_cannot_be_read_is_told_and_costs_only_its_own_boxes(photos, tmp_path):
    (photos / "fox" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    rows = ("broken.jpg,0,0,9,9,", "0.png,0,0,9,9,", "2.png,0,0,9,9,")
    cut = cut_photos(photos, table(tmp_path, *rows), into=tmp_path / "crops")
    assert (cut.boxes, [one.file for one in cut.unreadable]) == (2, ["fox/broken.jpg"])


def test_boxes_are_cut_out_of_truncated_photos_where_that_is_asked_for(photos, tmp_path, monkeypatch):
    path = photos / "fox" / "cut.jpg"
    Image.effect_noise((90, 90), 80).convert("RGB").save(path)
    path.write_bytes(path.read_bytes()[:-1000])
    asked = table(tmp_path, "cut.jpg,0,0,9,9,", "0.png,0,0,9,9,")
    cut = cut_photos(photos, asked, into=tmp_path / "strict")
    assert ([one.file for one in cut.unreadable], cut.doubts) == (["fox/cut.jpg"], ())
    cut = cut_photos(photos, replace(asked, load_truncated=True), into=tmp_path / "crops")
    assert (cut.boxes, [one.title for one in cut.doubts]) == (2, ["1 truncated photo is used"])
    options = PredictOptions(crop_boxes=asked.crop_boxes, load_truncated=True)
    decoded = Mock(wraps=open_image.decode_photo)
    monkeypatch.setattr(open_image, "decode_photo", decoded)
    crops, told = cut_named([path], None, options, into=tmp_path / "named")
    assert decoded.call_count == 1
    assert [box for _, _, box in crops] == [(0, 0, 10, 10)]
    assert told.startswith(f"1 truncated photo is used: {path.name} (")


def detected(folder: Path) -> Path:
    """Three boxes of 0.png as a detector gives them: one is sure, one is of a person, one is not sure."""
    found = (("1", 0.9), ("2", 0.8), ("1", 0.1))
    boxes = [{"category": kind, "conf": sure, "bbox": [0, 0, 0.5, 0.5]} for kind, sure in found]
    names = {"1": "animal", "2": "human"}
    document = {"images": [{"file": "0.png", "detections": boxes}], "detection_categories": names}
    (folder / "md.json").write_text(json.dumps(document), encoding="utf-8")
    return folder / "md.json"


@pytest.mark.parametrize(
    ("options", "numbers", "note"),
    [
        ({}, [1], "boxes passed over: 1 less sure than 0.2, 1 of another category than animal"),
        ({"crop_category": "human"}, [2], "boxes passed over: 1 less sure than 0.2, 1 of another category than human"),
        ({"crop_confidence": 0.05}, [1, 3], "boxes passed over: 1 of another category than animal"),
    ],
)
def test_a_detectors_boxes_are_cut_out_where_it_is_sure_of_the_category(photos, tmp_path, options, numbers, note):
    cut = cut_photos(photos, Labelling(crop_boxes=str(detected(tmp_path)), **options), into=tmp_path / "crops")
    names = sorted(path.name for path in (tmp_path / "crops" / "deer").iterdir())
    assert names == [f"0.png#{number}" for number in numbers]
    assert cut.note == note


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"crop_category": "car"}, "has no boxes of the category 'car'; found animal, human"),
        ({"crop_confidence": 0.95}, "has no box that is wanted: 3 less sure than 0.95"),
    ],
)
def test_where_no_box_is_wanted_it_is_said_why(photos, tmp_path, options, found):
    with pytest.raises(DataError, match=found):
        cut_photos(photos, Labelling(crop_boxes=str(detected(tmp_path)), **options), into=tmp_path / "crops")


def test_crops_of_named_photos_are_called_after_them_and_boxes_of_others_are_passed_over(photos, tmp_path):
    boxes = table(tmp_path, "0.png,2,3,11,12,", "0.png,0,0,4,5,", "gone.png,0,0,1,1,").crop_boxes
    named = [photos / "fox" / "2.png", photos / "deer" / "0.png"]
    crops, _ = cut_named(named, None, PredictOptions(crop_boxes=boxes), into=tmp_path / "crops")
    photo = str(photos / "deer" / "0.png")
    assert [(name, box) for name, _, box in crops] == [(f"{photo}#1", (2, 3, 12, 13)), (f"{photo}#2", (0, 0, 5, 6))]
    assert [path.name for _, path, _ in crops] == ["0#1.png", "0#2.png"]
    with pytest.raises(DataError, match="has no box of these photos"):
        cut_named(named[:1], None, PredictOptions(crop_boxes=boxes), into=tmp_path / "others")
