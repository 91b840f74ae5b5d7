import os
import time
from dataclasses import replace

import pytest

from pcn_cli.files.cache import FOLDERS, FileCache


@pytest.fixture
def cache(tmp_path):
    return FileCache(folder=tmp_path / "cache", limit=FOLDERS * 2**20)


def key_of(number, folder="ab"):
    return folder + f"{number:062x}"


def test_the_limit_is_kept_and_the_oldest_makes_room(cache):
    small = replace(cache, limit=FOLDERS * 100_000)  # three of these files in a folder
    content = bytes(30_000)
    for number in range(3):
        small.write_bytes(key_of(number), content)
        os.utime(small._path(key_of(number)), (1000 + number, 1000 + number))
    assert small.read_bytes(key_of(0)) == content  # and so it was used last
    later = replace(small, started=time.time() - 10)
    later.write_bytes(key_of(3), content)
    assert [small.holds(key_of(number)) for number in range(4)] == [True, False, True, True]
    later.write_bytes(key_of(4), content)
    later.write_bytes(key_of(5), content)  # what this run uses stays, or each epoch would begin anew
    assert [small.holds(key_of(number)) for number in range(6)] == [True, False, False, True, True, False]
    assert sum(path.stat().st_size for path in later.folder.rglob("*") if path.is_file()) <= 100_000


def test_what_a_killed_writer_left_goes_away(cache):
    cache.write_bytes(key_of(1), b"one")
    left, busy = (cache.folder / "ab" / name for name in (".old.part", ".new.part"))
    left.write_bytes(b"half")
    busy.write_bytes(b"half")
    os.utime(left, (1000, 1000))
    replace(cache).write_bytes(key_of(2), b"two")  # as another process does
    assert (left.exists(), busy.exists()) == (False, True)


def test_folders_are_looked_through_few_times_and_stay_bounded(cache, monkeypatch):
    looked, own = [], os.scandir
    monkeypatch.setattr("os.scandir", lambda path: looked.append(path) or own(path))
    one, other = (replace(cache, limit=FOLDERS * 100_000) for _ in range(2))  # a hundred of these files in a folder
    for number in range(120):
        (one if number % 3 else other).write_bytes(key_of(number), bytes(1000))
    written = [path for path in cache.folder.rglob("*") if path.is_file()]
    assert 100 <= len(written) <= 112
    assert len(looked) < 90
    looked.clear()
    for number in range(120):
        one.write_bytes(key_of(number, folder="cd"), bytes(100))
    assert len(looked) < 4
