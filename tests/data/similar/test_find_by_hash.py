import hashlib
import os
from pathlib import Path

import pytest

from pcn_cli.data.similar import find_by_hash as module
from pcn_cli.data.similar.find_by_hash import find_by_hash
from pcn_cli.errors import DataError
from pcn_cli.records.model import ReplayPhoto


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
    monkeypatch.setattr(module, "sha256_of", lambda path: read.append(path.name) or "0")
    assert find_by_hash(tmp_path, [photo(b"yyy", "gone.jpg")]) == {}
    assert read == ["3.jpg"]


def test_a_folder_that_is_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder of photos"):
        find_by_hash(tmp_path / "nowhere", [photo(b"1", "1.jpg")])
