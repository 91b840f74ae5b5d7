import os
import socket

import pytest

from pcn_cli.data.scan.walk import walk_folder
from pcn_cli.errors import DataError


def test_every_file_appears_once_in_the_order_of_its_path(tmp_path):
    names = ["b/2.jpg", "b/1.jpg", "a.jpg", "b/c/3.jpg", "a/0.jpg"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert list(walk_folder(tmp_path)) == sorted(names)
    assert not any(walk_folder(tmp_path).values())


@pytest.mark.parametrize("name", [".DS_Store", "Thumbs.db", "desktop.ini", "._a.jpg", ".git/config", "__MACOSX/a.jpg"])
def test_hidden_and_system_files_are_told_apart(tmp_path, name):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).touch()
    ((file, obstacle),) = walk_folder(tmp_path).items()
    assert file == name
    assert "hidden or system" in obstacle


def test_loops_of_links_end(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/1.jpg").touch()
    (tmp_path / "a/loop").symlink_to(tmp_path)
    (tmp_path / "a/self").symlink_to(tmp_path / "a/self")
    found = walk_folder(tmp_path)
    assert set(found) == {"a/1.jpg", "a/loop", "a/self"}
    assert "read already" in found["a/loop"]


def test_a_linked_folder_is_followed_and_a_photo_keeps_its_real_path(tmp_path):
    outside = tmp_path / "outside"
    (tmp_path / "photos/z").mkdir(parents=True)
    (outside / "deep").mkdir(parents=True)
    (outside / "deep/1.jpg").touch()
    (tmp_path / "photos/z/2.jpg").touch()
    (tmp_path / "photos/linked").symlink_to(outside)
    (tmp_path / "photos/a").symlink_to(tmp_path / "photos/z")
    found = {file: bool(obstacle) for file, obstacle in walk_folder(tmp_path / "photos").items()}
    assert found == {"linked/deep/1.jpg": False, "z/2.jpg": False, "a": True}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_pipes_and_sockets_are_skipped(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.jpg")
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.jpg")
        obstacles = walk_folder(tmp_path)
    assert obstacles == {"pipe.jpg": "a pipe (FIFO), not a file", "socket.jpg": "a socket, not a file"}


def test_empty_folders_are_listed(tmp_path):
    (tmp_path / "oak").mkdir()
    assert walk_folder(tmp_path) == {"oak/": "an empty folder"}


def test_a_missing_folder_and_a_file_are_named(tmp_path):
    with pytest.raises(DataError, match="no such folder of photos"):
        walk_folder(tmp_path / "gone")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="is a file, not a folder"):
        walk_folder(tmp_path / "file")
