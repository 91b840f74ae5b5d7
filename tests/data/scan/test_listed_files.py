from pathlib import Path

import pytest

from pcn_cli.data.scan.listed_files import ListedFiles

ROOT = Path("/photos")


def find(written, files, *, table="/photos/train.csv", root=ROOT):
    """The file that a text is found to be, how, and what is wrong with it."""
    place = ListedFiles(root, Path(table), dict.fromkeys(files, "")).find([written])[written]
    return place.file, place.how, place.problem


@pytest.mark.parametrize(
    ("written", "file", "how"),
    [
        ("a/1.jpg", "a/1.jpg", ""),
        ("./a/1.jpg", "a/1.jpg", ""),
        ("a\\1.jpg", "a/1.jpg", ""),
        ("/photos/a/1.jpg", "a/1.jpg", ""),
        ("1.jpg", "a/1.jpg", "by their name in a folder"),
        ("1", "a/1.jpg", "without their ending"),
        ("a/1", "a/1.jpg", "without their ending"),
        ("1.JPG", "a/1.jpg", "by their name in a folder in another case"),
        ("x.y", "b/x.y.png", "without their ending"),
        ("X.Y", "b/x.y.png", "without their ending in another case"),
        ("/kaggle/input/photos/a/1.jpg", "a/1.jpg", "from the photos folder on"),
        ("u\u0308.jpg", "\u00fc.jpg", ""),
        ("a/1.jpg/.", "a/1.jpg", ""),
        ("a/1.jpg/x/..", "a/1.jpg", ""),
        ("A\\1.JPG", "a/1.jpg", "by their name in a folder in another case"),
        ("\u00dc.JPG", "\u00fc.jpg", "by their name in a folder in another case"),
    ],
)
def test_a_photo_is_found_as_people_write_it(written, file, how):
    """A table beside its photos, names without a folder, ids without an ending: all of them "does not exist"."""
    assert find(written, ["a/1.jpg", "a/2.jpg", "b/x.y.png", "\u00fc.jpg"]) == (file, how, "")


def test_a_path_counts_from_the_table_and_then_from_the_photos():
    files = ["a/1.jpg", "1.jpg"]
    assert find("1.jpg", files, table="/photos/a/t.csv") == ("a/1.jpg", "", "")
    assert find("1.jpg", files, table="/elsewhere/t.csv") == ("1.jpg", "by their path in the photos folder", "")
    assert find("photos/1.jpg", files, table="/t.csv") == ("1.jpg", "", "")


@pytest.mark.parametrize("written", ["1.jpg", "1"])
def test_a_name_that_fits_several_photos_is_told(written):
    assert find(written, ["a/1.jpg", "b/1.jpg"]) == (
        written, "", "listed, and may be any of 2 files, such as a/1.jpg or b/1.jpg",
    )  # fmt: skip


def test_of_several_folders_the_one_is_meant_that_holds_all_that_is_listed():
    files = [*(f"train/{n}.jpg" for n in range(5)), *(f"test/{n}.jpg" for n in range(3))]
    found = ListedFiles(ROOT, ROOT / "train.csv", dict.fromkeys(files, "")).find([f"{n}.jpg" for n in range(5)])
    assert [place.file for place in found.values()] == files[:5]
    found = ListedFiles(ROOT, ROOT / "train.csv", dict.fromkeys(files, "")).find([f"{n}.jpg" for n in range(3)])
    assert all("2 files" in place.problem for place in found.values())


def test_what_is_there_in_no_way_keeps_the_path_that_was_written():
    assert find("gone.jpg", ["a.jpg"]) == ("gone.jpg", "", "")
    assert find("/far/gone.jpg", ["a.jpg"])[2] == "listed, but outside the photos folder /photos"
    assert find("b/1.jpg", ["a/1.jpg"]) == ("b/1.jpg", "", "")  # another folder is another photo
    assert find("1", ["a/1.txt"]) == ("1", "", "")


def test_each_way_is_told_once_with_an_example():
    listed = ListedFiles(ROOT, ROOT / "train.csv", dict.fromkeys(("a/1.jpg", "a/2.jpg", "3.jpg"), ""))
    assert listed.explain(listed.find(["1", "2", "3.jpg"])) == [
        "train.csv: 2 of 3 photos found without their ending: 1 is a/1.jpg"
    ]
    assert listed.explain(listed.find(["3.jpg"])) == []


@pytest.mark.parametrize("root", ["/work/../photos", "/photos/a/.."])
def test_the_photos_folder_may_be_written_in_a_longer_way(root):
    files, root = ["1.jpg", "a/1.jpg"], Path(root)
    assert find("1.jpg", files, root=root) == ("1.jpg", "", "")
    assert find("a/1.jpg", files, root=root) == ("a/1.jpg", "", "")
    assert find("gone.jpg", files, root=root)[0] == "gone.jpg"
    assert find("../other/1.jpg", files, root=root)[0] == "../other/1.jpg"
