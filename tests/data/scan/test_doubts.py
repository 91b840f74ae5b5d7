from pathlib import Path

import pytest

from pcn_cli.data.scan.layouts import sort_by_folders
from pcn_cli.errors import DataError

ROOT = Path("/my photos")


def sort(*folders):
    """What two photos in each of these folders are sorted into."""
    files = (f"{folder}/{number}.jpg" for folder in folders for number in range(2))
    return sort_by_folders(dict.fromkeys(files, ""), root=ROOT)


@pytest.mark.parametrize(
    ("folders", "named"),
    [
        (("train/steam", "train/diesel", "bus", "car"), "'train'"),
        (("test", "cat", "dog"), "'test'"),
        (("validation", "cat", "dog"), "'validation'"),
        (("dev", "cat", "dog"), "'dev'"),
        (("trainA", "trainB", "testA"), "'testA', 'trainA', 'trainB'"),
        (("train_a/cat", "train_b/cat"), "'train_a', 'train_b'"),
        (("cat/test", "dog", "cow"), "'test'"),
        (("train/fold_train/cat", "train/b/cat"), "'fold_train'"),
    ],
)
def test_what_may_be_a_part_or_a_class_is_refused_with_what_settles_it(folders, named):
    """train/cat beside bus gave the classes train/cat and bus; an unlabelled test/ beside classes became one."""
    with pytest.raises(DataError) as caught:
        sort(*folders)
    assert caught.value.message.startswith(f"{ROOT}: is {named} a part of a split or a class?")
    assert "pcn inspect '/my photos' --label-from '^(.+)/'" in caught.value.hint
    entries = dict.fromkeys((f"{folder}/1.jpg" for folder in folders), "")
    labels = [one.label for one in sort_by_folders(entries, root=ROOT, label_from="^(.+)/").candidates]
    assert labels == list(folders)  # the hint does what it says


@pytest.mark.parametrize(
    "folders", [("images", "masks"), ("images/a", "masks/a"), ("img", "gt"), ("JPEGImages", "SegmentationClass")]
)
def test_photos_and_their_masks_are_no_classes(folders):
    with pytest.raises(DataError, match="drawn over them") as caught:
        sort(*folders)
    assert f"'/my photos/{folders[0].partition('/')[0]}'" in caught.value.hint


def test_a_class_called_mask_or_test_tube_is_one():
    assert not sort("mask", "no mask").doubts
    assert not sort("test tube", "flask").doubts


@pytest.mark.parametrize(
    ("folders", "title"),
    [
        (("a/ok", "a/bad", "b/ok", "b/bad"), "2 class names stand under two folders or more"),
        (("fold1/x", "fold2/x", "fold2/y"), "A class name stands under two folders or more"),
        (("traning/x", "tezt/x"), "A class name stands under two folders or more"),
        (("animals", "animals/dog", "plants"), "Photos lie in animals and in folders inside"),
        (("oak", "oak/leaf", "oak/bark"), "Photos lie in oak and in folders inside"),
        (("a/b", "a/b/c", "d/e"), "Photos lie in a/b and in folders inside"),
        (("x", "y/1", "y/2"), "Some classes are folders, others are folders in folders"),
        (("docs", "dataset/a", "dataset/b"), "Some classes are folders, others are folders in folders"),
    ],
)
def test_what_may_mean_two_things_is_told(folders, title):
    """X/a and Y/a, or animals/*.jpg beside animals/dog/*.jpg, were read without a word."""
    (finding,) = sort(*folders).doubts
    assert (finding.severity, finding.title) == ("warning", title)
    assert finding.evidence
    assert finding.remedy


def test_the_remedy_for_repeated_names_can_be_typed():
    (finding,) = sort("site 1/ok", "site 2/ok").doubts
    assert "pcn inspect '/my photos' --label-from '([^/]+)/[^/]+$'" in finding.remedy
    entries = dict.fromkeys(("site 1/ok/1.jpg", "site 2/ok/1.jpg"), "")
    assert {one.label for one in sort_by_folders(entries, label_from="([^/]+)/[^/]+$").candidates} == {"ok"}
