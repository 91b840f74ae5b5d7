"""What `pcn inspect` says, and when it ends with 3."""

import json
import shutil


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
    assert b"test red/11.jpg = train red/00.jpg" in result.stderr


def test_groups_are_shown_and_a_pattern_without_a_match_ends_with_2(pcn, photo_folder):
    shown = pcn("inspect", photo_folder, "--group-by", r"^(\d)")
    assert "groups that stay together 2" in " ".join(shown.stdout.decode().split())
    refused = pcn("inspect", photo_folder, "--group-by", "nest")
    assert refused.returncode == 2
    assert b"matches no column of a table and no file name, such as 00.jpg" in refused.stderr
