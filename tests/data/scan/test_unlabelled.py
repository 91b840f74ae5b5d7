import shlex
from pathlib import Path

import pytest

from pcn_cli.data.scan.layouts import sort_by_folders
from pcn_cli.data.scan.unlabelled import guess_label_from
from pcn_cli.errors import DataError

ROOT = Path("/my photos")


def refused(*files):
    """Message and hint of the refusal of these files."""
    with pytest.raises(DataError) as caught:
        sort_by_folders(dict.fromkeys(files, ""), root=ROOT)
    return caught.value.message, caught.value.hint


@pytest.mark.parametrize(
    "files",
    [
        ("images/train/1.jpg", "images/val/2.jpg", "labels/train/1.txt", "labels/val/2.txt"),
        ("train/images/1.jpg", "valid/images/2.jpg", "train/labels/1.txt", "valid/labels/2.txt"),
        ("train2017/1.jpg", "val2017/2.jpg", "annotations/instances_val2017.json"),
        ("JPEGImages/1.jpg", "JPEGImages/2.jpg", "Annotations/1.xml"),
        ("coco128/images/train2017/1.jpg", "coco128/labels/train2017/1.txt"),
    ],
)
def test_a_set_for_detection_is_refused_as_such(files):
    """images/train, images/val and labels/: the classes were images/train and images/val."""
    message, hint = refused(*files)
    assert "is for detection" in message
    assert "on a whole photo" in hint


@pytest.mark.parametrize("folder", ["", "train/", "images/", "train/train/"])
@pytest.mark.parametrize(
    ("names", "classes"),
    [
        (("cat.0.jpg", "cat.1.jpg", "dog.0.jpg", "dog.1.jpg"), ["cat", "dog"]),
        (("great_pyrenees_1.jpg", "great_pyrenees_2.jpg", "pug_7.jpg", "pug_8.jpg"), ["great_pyrenees", "pug"]),
        (("cat (1).jpg", "cat (2).jpg", "dog (1).jpg", "dog (2).jpg"), ["cat", "dog"]),
        (("red fox-01.JPG", "red fox-02.JPG", "猫3.png", "猫4.png"), ["red fox", "猫"]),
        (("7 cat.jpg", "8 cat.jpg", "9-dog.jpg", "10-dog.jpg"), ["cat", "dog"]),
        (("0001_cat.jpg", "0002_cat.jpg", "0003_dog.jpg", "0004_dog.jpg"), ["cat", "dog"]),
    ],
)
def test_a_class_in_the_names_is_offered_and_the_offer_works(folder, names, classes):
    message, hint = refused(*(folder + name for name in names))
    assert message.startswith(f"no photo in {ROOT} has a label: 4 × not in a class folder")
    words = shlex.split(hint.partition(" takes the class")[0])
    assert words[:4] == ["pcn", "inspect", str(ROOT), "--label-from"]
    entries = dict.fromkeys((folder + name for name in names), "")
    assert sorted({one.label for one in sort_by_folders(entries, label_from=words[4]).candidates}) == classes


@pytest.mark.parametrize("names", [("IMG_1.jpg", "IMG_2.jpg"), ("1.jpg", "2.jpg"), ("a1.jpg", "b1.jpg", "c1.jpg")])
def test_names_that_tell_no_classes_are_not_offered(names):
    assert guess_label_from(names) == ("", [])
    assert "--label-from" not in refused(*names)[1]


def test_a_table_that_lies_there_is_offered():
    _, hint = refused("train/1.jpg", "train/2.jpg", "sample_submission.csv", "train.csv")
    assert "pcn inspect '/my photos' --labels '/my photos/train.csv'" in hint


@pytest.mark.parametrize("table", ["sampleSubmission.csv", "sample_submission.csv", "Submission.tsv", "test.csv"])
def test_a_table_to_be_handed_in_is_not_taken_for_labels(table):
    """Cats and dogs of a contest: the table of its test photos, all of them 0, was offered."""
    photos = ("train/cat.0.jpg", "train/cat.1.jpg", "train/dog.0.jpg", "train/dog.1.jpg", "test1/1.jpg")
    assert "takes the class from the name: cat, dog" in refused(*photos, table)[1]
    photos = ("images/1.jpg", "images/2.jpg")
    assert "--labels FILE" in refused(*photos, table)[1]
    assert "/images.csv'" in refused(*photos, table, "images.csv")[1]


def test_tables_of_every_part_are_told():
    photos = ("train/1.jpg", "train/2.jpg", "test/3.jpg")
    tables = ("train/metadata.csv", "test/metadata.csv")
    hint = refused(*photos, *tables)[1]
    assert "train/metadata.csv" in hint
    assert "(of 2 of that name: join them, with a column split, for all to count)" in hint
    assert "join" not in refused(*photos, tables[0])[1]
