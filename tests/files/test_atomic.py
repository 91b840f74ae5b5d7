import csv
import errno
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from pcn_cli.errors import ResourceError
from pcn_cli.files import atomic
from pcn_cli.files.atomic import (
    disarm_cell,
    read_csv,
    rearm_cell,
    replacing,
    sha256_of,
    write_bytes,
    write_csv,
    write_json,
    write_text,
    write_with,
)
from pcn_cli.tensors.store import save_tensors

NASTY = [
    "=1+1",
    "+1",
    "-1",
    "@x",
    "\tx",
    "\rx",
    "'x",
    "''",
    "'=x",
    "",
    "a,b",
    'a"b',
    "a\nb",
    "a\r\nb",
    "é\U0001f33b",
    " x ",
    "\udcff.jpg",
]
DISK_FULL = OSError(errno.ENOSPC, "No space left on device")

KILLED = """
import os, sys
from pathlib import Path
from pcn_cli.files.atomic import replacing
with replacing(Path(sys.argv[1])) as part:
    part.write_text("half")
    os.kill(os.getpid(), 9)
"""


def failing(error: BaseException) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    write_bytes(tmp_path / "new" / "deep" / "a.bin", b"\x00\xff")
    assert (tmp_path / "new" / "deep" / "a.bin").read_bytes() == b"\x00\xff"
    write_text(tmp_path / "a.txt", "é\n")
    assert (tmp_path / "a.txt").read_bytes() == "é\n".encode()


def test_a_crash_in_the_middle_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def write_half() -> None:
        with replacing(path) as part:
            part.write_text("half of the n")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert path.read_text() == "old"
    assert [child.name for child in tmp_path.iterdir()] == ["a.txt"]


def test_a_killed_writer_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    result = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert result.returncode == -9
    assert path.read_text() == "old"


@pytest.mark.parametrize("call", ["fsync", "open", "close"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EACCES, errno.EROFS])
def test_every_failing_call_is_a_resource_error_and_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with monkeypatch.context() as patch:
        patch.setattr(atomic.os, call, failing(OSError(number, os.strerror(number))))
        with pytest.raises(ResourceError) as caught:
            write_text(path, "new")
    assert caught.value.exit_code == 6
    assert str(path) in caught.value.message
    assert caught.value.hint
    assert path.read_text() == "old"
    assert [child.name for child in tmp_path.iterdir()] == ["a.txt"]


def test_a_failing_rename_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    monkeypatch.setattr(Path, "replace", failing(OSError(errno.EACCES, "Permission denied")))
    with pytest.raises(ResourceError, match=f"not allowed to write {path}"):
        write_text(path, "new")
    assert path.read_text() == "old"


def test_a_full_disk_is_told_with_the_room_that_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "write_bytes", failing(DISK_FULL))
    with pytest.raises(ResourceError, match=r"the disk is full: cannot write .*a\.txt \([\d,.]+ MB free\)") as caught:
        write_text(tmp_path / "a.txt", "new")
    assert caught.value.hint == "free some space, then run the same command again"


@pytest.mark.parametrize("place", ["here", "new/deep", "letter", "letter/deep", "n" * 300])
@pytest.mark.parametrize("allowed", [True, False])
def test_where_nothing_can_be_written_is_known_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, allowed: bool
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "letter").touch()
    monkeypatch.setattr(atomic.os, "access", lambda *_: allowed)
    if allowed and place in ("here", "new/deep"):
        atomic.check_place(tmp_path / place)
    else:
        with pytest.raises(ResourceError, match=r"is a file|too long|not allowed"):
            atomic.check_place(tmp_path / place)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "letter"]


def test_a_file_where_a_folder_should_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="cannot write"):
        write_text(tmp_path / "file" / "a.txt", "x")
    with pytest.raises(ResourceError, match="cannot write"):
        write_text(tmp_path / "file" / "deep" / "a.txt", "x")


def test_a_library_s_own_complaint_is_not_blamed_on_the_disk(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="cannot write mode P as JPEG") as caught:
        write_with(tmp_path / "a.jpg", failing(OSError("cannot write mode P as JPEG")))
    assert not isinstance(caught.value, ResourceError)


def test_the_disk_holds_the_bytes_before_the_name_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    seen = []

    def fsync(descriptor: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        seen.append((kind, path.read_text()))

    monkeypatch.setattr(atomic.os, "fsync", fsync)
    write_text(path, "new")
    assert seen == [("file", "old"), ("folder", "new")]


def test_what_can_be_made_again_is_whole_without_waiting_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atomic.os, "fsync", lambda _: pytest.fail("the disk was waited for"))
    (tmp_path / "a.png").write_bytes(b"before")
    seen = []

    def write(file: BinaryIO) -> None:
        file.write(b"after")
        seen.append((tmp_path / "a.png").read_bytes())

    atomic.write_with(tmp_path / "a.png", write, durable=False)
    assert seen == [b"before"]
    assert (tmp_path / "a.png").read_bytes() == b"after"
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_disk_that_cannot_sync_folders_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(atomic.os, "fsync", fsync)
    write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "new"


def test_a_writer_by_name_gets_the_suffix_and_may_leave_a_read_only_file(tmp_path: Path) -> None:
    with replacing(tmp_path / "a.png") as part:
        assert part.suffix == ".png"
        part.write_bytes(b"x")
        part.chmod(0o444)
    assert (tmp_path / "a.png").read_bytes() == b"x"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_json_has_no_word_for_numbers_that_are_not_finite(tmp_path: Path, value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"x": value})
    assert list(tmp_path.iterdir()) == []


def test_json_is_utf8_and_keeps_file_names_that_are_no_text(tmp_path: Path) -> None:
    value = {"file": "\udcff é \U0001f33b", "n": [1, 2.5, None, True]}
    write_json(tmp_path / "a.json", value)
    assert json.loads((tmp_path / "a.json").read_bytes().decode("utf-8")) == value


@pytest.mark.parametrize("cell", NASTY)
def test_a_cell_comes_back_as_it_was(cell: str) -> None:
    assert rearm_cell(disarm_cell(cell)) == cell


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_spreadsheet_sees_a_formula(tmp_path: Path, start: str) -> None:
    write_csv(tmp_path / "a.csv", [f"{start}head"], [[f"{start}cmd|'/c calc'!A1"]])
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        assert all(cell.startswith("'") for row in csv.reader(file) for cell in row)


def test_numbers_stay_numbers(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", ["x", "y"], [[-1.5, -2], [1e-300, None]])
    assert (tmp_path / "a.csv").read_text() == "x,y\n-1.5,-2\n1e-300,\n"


def test_a_table_of_every_nasty_cell_comes_back_as_it_was(tmp_path: Path) -> None:
    rows = [[first, second] for first in NASTY for second in NASTY]
    write_csv(tmp_path / "a.csv", ["=head", "'other"], rows)
    assert read_csv(tmp_path / "a.csv") == [{"=head": first, "'other": second} for first, second in rows]


def test_every_single_character_comes_back_from_a_table(tmp_path: Path) -> None:
    characters = [chr(code) for code in [*range(0x300), 0x2028, 0x2029, 0xFEFF, 0xFFFD, *range(0xDC80, 0xDD00)]]
    write_csv(tmp_path / "a.csv", ["cell", "end"], [[c + "x", "x" + c] for c in characters])
    assert read_csv(tmp_path / "a.csv") == [{"cell": c + "x", "end": "x" + c} for c in characters]


def test_a_table_saved_by_a_spreadsheet_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("\ufefffile,label\r\na.jpg,rose\r\n\r\n".encode())
    assert read_csv(tmp_path / "a.csv") == [{"file": "a.jpg", "label": "rose"}]


def test_a_ragged_table_is_refused_with_the_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n3\n")
    with pytest.raises(ValueError, match=r"a\.csv, line 3: expected 2 cells, found 1"):
        read_csv(tmp_path / "a.csv")


def test_an_empty_table_has_no_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("")
    assert read_csv(tmp_path / "a.csv") == []


def test_the_hash_is_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_one_flipped_bit_changes_the_hash(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(5000))
    (tmp_path / "b").write_bytes(bytes(4999) + b"\x01")
    assert sha256_of(tmp_path / "a") != sha256_of(tmp_path / "b")


LIBRARIES = {
    "Pillow": partial(Image.new("RGB", (8, 8)).save, format="PNG"),
    "numpy": partial(np.savez_compressed, maps=np.zeros((9, 9))),
    "numpy's plain": partial(np.save, arr=np.zeros((9, 9))),
    "matplotlib": partial(Figure().savefig, format="svg"),
}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EIO])
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_full_disk_is_told_alike_whichever_library_saves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str, number: int
) -> None:
    """Seen: numpy says "162 requested and 0 written", Pillow "encoder error -2", safetensors has its own error."""
    monkeypatch.setattr(Path, "write_bytes", failing(OSError(number, os.strerror(number))))
    with pytest.raises(ResourceError) as caught:
        write_with(tmp_path / "a", LIBRARIES[library])
    assert caught.value.exit_code == 6
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_saves_what_it_would_have_saved(tmp_path: Path, library: str) -> None:
    write_with(tmp_path / "a", LIBRARIES[library])
    assert (tmp_path / "a").stat().st_size > 50


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_files_may_be_read_as_the_umask_says(tmp_path: Path, umask: int) -> None:
    """Seen: the weights of a run had mode 0600 beside files of 0644."""
    before = os.umask(umask)
    try:
        write_text(tmp_path / "a.txt", "x")
        write_with(tmp_path / "b.png", LIBRARIES["Pillow"])
        save_tensors(tmp_path / "c.safetensors", {"a": torch.zeros(2)})
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o666 & ~umask}


def test_the_file_that_stands_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("")
    with pytest.raises(ResourceError, match=r"letter is a file, not a folder") as caught:
        write_text(tmp_path / "letter" / "deep" / "a.txt", "x")
    assert caught.value.hint == f"move the file {tmp_path / 'letter'} away"
    with pytest.raises(ResourceError) as caught:
        write_bytes(tmp_path / "letter" / "a.txt", b"x", elsewhere="name another with --overlay DIR")
    assert caught.value.hint == "name another with --overlay DIR"
