"""What `pcn inspect` says, and when it ends with 3."""

import json
import shlex
import shutil

import pytest


def test_the_table_tells_sizes_copies_and_the_fit(pcn, photo_folder):
    shutil.copy(photo_folder / "red/00.jpg", photo_folder / "red/copy.jpg")
    result = pcn("inspect", photo_folder)
    assert result.returncode == 0
    text = " ".join(result.stdout.decode().split())
    for words in (
        "red 13",
        "width 56 56 56",
        "height 40 45 51",
        "modes RGB 37",
        "exact duplicates 2 photos in 1 sets",
        "near duplicates none",
        "recommended --fit crop",
        "exact duplicates: red/00.jpg = red/copy.jpg",
        "37 photos in 3 classes (class folders), 0 unreadable, 0 ignored",
    ):
        assert words in text


def test_json_holds_what_the_table_says(pcn, photo_folder):
    (photo_folder / "red").rename(photo_folder / "left")
    found = json.loads(pcn("inspect", photo_folder, "--json").stdout)
    assert found["classes"] == {"blue": 12, "green": 12, "left": 12}
    assert found["health"]["modes"] == {"RGB": 36}
    assert found["health"]["against_flipping"] == ["left"]
    assert found["near_duplicates"] == found["leaks"] == found["conflicts"] == []
    assert [finding["title"] for finding in found["findings"]] == ["Names speak against mirrored photos"]


def test_photos_that_cannot_be_divided_end_with_3(pcn, photo_folder):
    for label in ("blue", "green", "red"):
        for photo in sorted((photo_folder / label).iterdir())[1:]:
            photo.unlink()
    result = pcn("inspect", photo_folder)
    assert result.returncode == 3
    assert b"3 photos in 3 classes" in result.stdout
    assert b"no photo is left for validation" in result.stderr


def test_fail_on_leak_ends_with_3_where_the_own_split_leaks(pcn, photo_folder):
    rows = [f"{c}/{n:02}.jpg,{c},{'test' if n > 7 else 'train'}" for c in ("blue", "green", "red") for n in range(12)]
    (photo_folder / "labels.csv").write_text("\n".join(["file,label,split", *rows]))
    assert pcn("inspect", photo_folder, "--fail-on", "leak").returncode == 0
    shutil.copy(photo_folder / "red/00.jpg", photo_folder / "red/11.jpg")
    assert pcn("inspect", photo_folder).returncode == 0
    result = pcn("inspect", photo_folder, "--fail-on", "leak")
    assert result.returncode == 3
    assert b"1 photo leaks from one part into another" in result.stdout
    assert b"red/11.jpg (test) = red/00.jpg (train)" in result.stderr


def test_groups_are_shown_and_a_pattern_without_a_match_ends_with_2(pcn, photo_folder):
    shown = pcn("inspect", photo_folder, "--group-by", r"^(\d)")
    assert "groups that stay together 2" in " ".join(shown.stdout.decode().split())
    refused = pcn("inspect", photo_folder, "--group-by", "nest")
    assert refused.returncode == 2
    assert b"matches no column of a table and no file name, such as 00.jpg" in refused.stderr


def move(photo_folder, *places):
    """The photos of each class, dealt out to folders in turn; "{}" stands for the class."""
    for label in ("blue", "green", "red"):
        for number, photo in enumerate(sorted((photo_folder / label).iterdir())):
            target = photo_folder / places[number % len(places)].format(label)
            target.mkdir(parents=True, exist_ok=True)
            photo.rename(target / f"{label}.{photo.name}")
        (photo_folder / label).rmdir()


@pytest.mark.parametrize(
    "parts", [("training/{}", "testing/{}"), ("x/Train/{}", "x/test/{}"), ("seg_train/seg_train/{}", "val/{}")]
)
def test_parts_under_other_names_are_read_and_said(pcn, photo_folder, parts):
    """They were taken for classes with code 0 and without a word: a worthless model."""
    move(photo_folder, *parts)
    shown = pcn("inspect", photo_folder)
    assert shown.returncode == 0
    assert b"36 photos in 3 classes (split folders)" in shown.stdout
    assert b"train" in shown.stderr or b"below x/" in shown.stderr
    found = json.loads(pcn("inspect", photo_folder, "--json").stdout)
    assert found["classes"] == {"blue": 12, "green": 12, "red": 12}
    assert found["assumptions"]


def test_photos_to_learn_from_are_those_of_the_training_part(pcn, photo_folder):
    """It counted the photos of all parts: "Photos to learn from: c 3", where train/ had none."""
    move(photo_folder, "train/{}", "train/{}", "val/{}", "test/{}")
    for photo in sorted((photo_folder / "train/red").iterdir())[1:]:
        photo.rename(photo_folder / "test/red" / photo.name)
    shutil.copytree(photo_folder / "test/blue", photo_folder / "test/new")
    found = {
        one["title"]: one["evidence"] for one in json.loads(pcn("inspect", photo_folder, "--json").stdout)["findings"]
    }
    assert found["The largest class has 6.0 times the photos of the smallest"] == "Photos to learn from: blue 6, red 1."
    assert found["1 class has no photo to learn from"].startswith("new: ")


def test_what_is_left_out_is_said(pcn, photo_folder):
    move(photo_folder, "train/{}", "train/{}", "test")
    text = pcn("inspect", photo_folder).stdout.decode()
    assert "note: 12 photos were left out" in text
    assert "12 in test/ (not in a class folder)" in text


def test_the_class_in_the_name_is_offered_and_read(pcn, photo_folder):
    """Kaggle's cats and dogs, train/cat.0.jpg, were refused, and no pattern could be given."""
    move(photo_folder, "train", "train", "test")
    refused = pcn("inspect", photo_folder)
    assert refused.returncode == 3
    hint = next(line for line in refused.stderr.decode().splitlines() if "--label-from" in line)
    words = shlex.split(hint.partition("try: ")[2].partition(" takes the class")[0])
    found = json.loads(pcn(*words[1:], "--json").stdout)
    assert (found["layout"], found["classes"]) == ("file names", {"blue": 12, "green": 12, "red": 12})
    assert {photo["split"] for photo in found["photos"]} == {"train", "test"}


def test_columns_are_named_by_options(pcn, photo_folder, tmp_path):
    rows = [f"{c}/{n:02}.jpg,7,{c},{n}" for c in ("blue", "green", "red") for n in range(12)]
    (tmp_path / "t.csv").write_text("\n".join(["Bild,width,Art,age", *rows]))
    refused = pcn("inspect", photo_folder, "--labels", "t.csv")
    assert refused.returncode == 3
    assert b"no column label; found bild, width, art, age" in refused.stderr
    shown = pcn("inspect", photo_folder, "--labels", "t.csv", "--file-column", "Bild", "--label-column", "Art")
    assert b"36 photos in 3 classes (table)" in shown.stdout
    assert (
        b"t.csv: 36 of 36 photos found by their path in the photos folder: blue/00.jpg is blue/00.jpg" in shown.stderr
    )
    wrong = pcn("inspect", photo_folder, "--labels", "t.csv", "--label-column", "art2")
    assert wrong.returncode == 2
    assert b"t.csv, line 1 has no such column; found bild" in wrong.stderr
