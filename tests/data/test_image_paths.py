import hashlib
import os
from pathlib import Path

import pytest

from pcn_cli.data import image_paths
from pcn_cli.data.image_paths import find_by_hash, gather_images
from pcn_cli.errors import DataError
from pcn_cli.records.model import ReplayPhoto


@pytest.fixture
def pictures(tmp_path, draw_photo, monkeypatch):
    for number, name in enumerate(("b.jpg", "sub/a.png", "sub/deep/c", "x[1].jpg")):
        draw_photo(tmp_path / name, seed=number)
    (tmp_path / "notes.txt").write_text("notes")
    (tmp_path / "phone.heic").write_bytes(b"?")
    (tmp_path / ".hidden.jpg").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(*sources):
    return [path.as_posix() for path in gather_images(sources)]


def test_order_in_is_order_out_and_repeats_stay(pictures):
    assert names("sub/a.png", "b.jpg", "./b.jpg", str(pictures / "b.jpg"), "sub", "b.jpg") == [
        "sub/a.png", "b.jpg", "b.jpg", f"{pictures}/b.jpg", "sub/a.png", "sub/deep/c", "b.jpg",
    ]  # fmt: skip


def test_one_pattern_gives_no_file_twice(pictures):
    assert names("sub/**") == ["sub/a.png", "sub/deep/c"]


def test_a_missing_source_among_others_stays_in_its_place(pictures):
    assert names("b.jpg", "gone.jpg", "*.webp", "sub/a.png") == ["b.jpg", "gone.jpg", "*.webp", "sub/a.png"]


def test_nothing_named_is_said_so(pictures):
    with pytest.raises(DataError, match="no images were named"):
        gather_images([])


def test_folders_without_images_are_said_so(pictures):
    for name in ("one", "two"):
        (pictures / name).mkdir()
    with pytest.raises(DataError, match=r"^one holds no images$"):
        gather_images(["one"])
    with pytest.raises(DataError, match=r"^none of the 2 folders holds any images$"):
        gather_images(["one", "two"])
    assert names("one", "b.jpg") == ["b.jpg"]


def test_a_folder_gives_its_images_sorted_by_path(pictures):
    assert names(".") == ["b.jpg", "phone.heic", "sub/a.png", "sub/deep/c", "x[1].jpg"]


def test_patterns_give_sorted_matches(pictures):
    assert names("*.jpg") == ["b.jpg", "x[1].jpg"]
    assert names("**/*.png") == ["sub/a.png"]
    assert names("su*") == ["sub/a.png", "sub/deep/c"]


def test_a_name_that_exists_is_no_pattern(pictures):
    assert names("x[1].jpg") == ["x[1].jpg"]


def test_a_named_file_is_taken_whatever_it_is(pictures):
    assert names("notes.txt") == ["notes.txt"]


@pytest.mark.parametrize(
    ("source", "message"),
    [("gone.jpg", "gone.jpg does not exist"), ("*.webp", "matches no file"), ("https://a.b/c.jpg", "does not exist")],
)
def test_the_only_source_is_named_when_it_is_missing(pictures, source, message):
    with pytest.raises(DataError) as caught:
        gather_images([source])
    assert message in caught.value.message
    assert bool(caught.value.hint) == ("://" in source)


def photo(content: bytes, file: str) -> ReplayPhoto:
    return ReplayPhoto(file=file, bytes=len(content), sha256=hashlib.sha256(content).hexdigest(), scores=())


def test_a_photo_is_found_at_its_old_place_or_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "here.jpg").write_bytes(b"here")
    (tmp_path / "a" / "b" / "moved.jpg").write_bytes(b"moved!")
    (tmp_path / "a" / "changed.jpg").write_bytes(b"newer")
    wanted = [photo(b"here", "a/here.jpg"), photo(b"moved!", "old/name.jpg"), photo(b"older", "a/changed.jpg")]
    found = find_by_hash(tmp_path, wanted)
    assert found == {wanted[0].sha256: "a/here.jpg", wanted[1].sha256: "a/b/moved.jpg"}


def test_only_files_of_the_right_size_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        (tmp_path / f"{number}.jpg").write_bytes(b"x" * number)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.jpg")
    read = []
    monkeypatch.setattr(image_paths, "sha256_of", lambda path: read.append(path.name) or "0")
    assert find_by_hash(tmp_path, [photo(b"yyy", "gone.jpg")]) == {}
    assert read == ["3.jpg"]


def test_a_folder_that_is_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder of photos"):
        find_by_hash(tmp_path / "nowhere", [photo(b"1", "1.jpg")])
