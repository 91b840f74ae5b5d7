import pytest

from pcn_cli.data.scan.wrappers import is_container, read_shape


def read(*paths):
    """Each path with what was read: part, class."""
    folders = [tuple(path.split("/")) if path else () for path in paths]
    shape = read_shape(folders)
    return [(part, "/".join(classes)) for part, classes in map(shape.read, folders)]


TRAIN_TEST = [("train", "a"), ("train", "b"), ("test", "a"), ("test", "b")]


@pytest.mark.parametrize(
    "pattern",
    [
        ("train/{}", "test/{}"),
        ("training/{}", "testing/{}"),
        ("Training/{}", "test/{}"),
        ("dataset/train/{}", "dataset/test/{}"),
        ("a/b/c/train/{}", "a/b/c/test/{}"),
        ("seg_train/seg_train/{}", "seg_test/seg_test/{}"),
        ("train/images/{}", "test/images/{}"),
        ("train/images/{}", "test/{}"),
        ("train /{}", "test/{}"),
        ("x/train_set/train_set/{}", "x/eval/eval/{}"),
        ("train/fruits/{}", "test/fruits/{}"),
        ("Trainingsbilder/{}", "Testbilder/{}"),
        ("学習/{}/images", "テスト/{}/images"),
        ("fold 3/entraînement/{0}/{0}", "fold 3/test/{0}/{0}"),
    ],
)
def test_parts_are_read_through_wrappers(pattern):
    """Each of these gave classes such as test/a, dataset/test/a and seg_test/seg_test/a."""
    assert read(*(place.format(name) for place in pattern for name in "ab")) == TRAIN_TEST


def test_a_wrapper_around_classes_is_no_part_of_their_names():
    """images/a and images/b were the classes for ever."""
    assert read("images/a", "images/b") == [(None, "a"), (None, "b")]
    assert read("x/y/a", "x/y/b/c") == [(None, "a"), (None, "b/c")]
    assert read("a", "b") == [(None, "a"), (None, "b")]


def test_parts_inside_the_classes_are_parts():
    assert read("a/train", "a/test", "b/train", "b/test") == [
        ("train", "a"),
        ("test", "a"),
        ("train", "b"),
        ("test", "b"),
    ]


def test_a_single_class_keeps_its_name():
    assert read("oak") == [(None, "oak")]
    assert read("train/a", "train/b", "val/a") == [("train", "a"), ("train", "b"), ("val", "a")]
    assert read("train/a/x", "train/b/y", "val/a/x") == [("train", "a/x"), ("train", "b/y"), ("val", "a/x")]
    assert read("train/photo", "train/drawing", "test/photo") == [
        ("train", "photo"),
        ("train", "drawing"),
        ("test", "photo"),
    ]


def test_photos_in_a_folder_that_says_nothing_have_no_class():
    assert read("train/images", "val/images") == [("train", ""), ("val", "")]
    assert read("images/train", "images/val") == [("train", ""), ("val", "")]
    assert read("train/train", "test1/test1") == [("train", ""), ("test", "")]
    assert read("images") == [(None, "")]


def test_a_folder_in_each_class_that_says_nothing_is_no_class():
    assert read("a/images", "b/images") == [(None, "a"), (None, "b")]
    assert read("train/a/images", "train/b/images", "val/images") == [("train", "a"), ("train", "b"), ("val", "")]
    assert read("a/images", "b/scans") == [(None, "a/images"), (None, "b/scans")]
    assert read("x/a/a", "x/b/b") == [(None, "a"), (None, "b")]
    assert read("a/a", "b/c") == [(None, "a/a"), (None, "b/c")]


def test_what_stands_beside_parts_is_in_none():
    assert [part for part, _ in read("train/a", "test/a", "extra/a")] == ["train", "test", None]


def test_photos_beside_the_folders_change_nothing():
    assert read("", "data/train/a", "data/test/a")[1:] == [("train", "a"), ("test", "a")]


def test_a_class_may_be_called_train():
    assert read("train", "bus", "car") == [(None, "train"), (None, "bus"), (None, "car")]


@pytest.mark.parametrize("name", ["images", "JPEGImages", "data", "Photos", "imgs", "pics", " images_"])
def test_folders_that_say_nothing(name):
    assert is_container(name)
    assert not is_container(f"{name} of cats")
