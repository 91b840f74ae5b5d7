import os
from pathlib import Path

import pytest

from pcn_cli.files.reading import read_bytes, read_json


def test_a_file_within_its_bounds_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    (tmp_path / "link").symlink_to(path)
    assert read_bytes(path, most=5) == read_bytes(tmp_path / "link", most=5) == b"12345"
    with pytest.raises(ValueError, match="it holds 5 bytes, at most 4 are read"):
        read_bytes(path, most=4)


def test_what_never_ends_is_not_read(tmp_path: Path) -> None:
    """`--recipe /dev/zero` took 6 GB in 13 s; a pipe that nobody writes to is waited for already when it is opened."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    for path in (tmp_path / "pipe", Path("/dev/zero"), Path("/dev/random"), tmp_path / "link"):
        with pytest.raises(ValueError, match="no regular file"):
            read_bytes(path, most=100)
    with pytest.raises(IsADirectoryError):
        read_bytes(tmp_path, most=100)
    with pytest.raises(FileNotFoundError):
        read_bytes(tmp_path / "gone", most=100)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "[" * 100_000 + "]" * 100_000])
def test_deep_json_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match="nested too deeply"):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", '{"a": -Infinity}', "", "{", "\x00"])
def test_what_is_no_json_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=r"is no JSON|Expecting|property name"):
        read_json(tmp_path / "a.json")


def test_json_is_read_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"é": [1, 2.5, null, true]}', encoding="utf-8")
    assert read_json(tmp_path / "a.json") == {"é": [1, 2.5, None, True]}
