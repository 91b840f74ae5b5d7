import random
import shutil
import sqlite3
from contextlib import closing
from unittest.mock import Mock

import pytest

from pcn_cli.files import kept_texts
from pcn_cli.files.kept_texts import KeptTexts


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / "a # folder?" / "texts.sqlite"


def read(path, key):
    return KeptTexts(path, most=10).read(key)


def test_texts_are_found_by_other_readers_in_a_file_that_nobody_else_may_open(path):
    KeptTexts(path, most=10).write([("a", "one ü"), ("b", "")])
    assert (read(path, "a"), read(path, "b"), read(path, "c")) == ("one ü", "", None)
    assert path.parent.stat().st_mode & 0o077 == 0


def test_a_key_has_its_last_text(path):
    for text in ("one", "one", "two"):
        KeptTexts(path, most=10).write([("a", text)])
    assert read(path, "a") == "two"


def test_the_oldest_texts_make_room(path):
    for number in range(5):
        KeptTexts(path, most=3).write([(str(number), "text")])
    assert [read(path, str(number)) for number in range(5)] == [None, None, "text", "text", "text"]


@pytest.mark.parametrize("change", ["text = 'two'", "key = 'b'", "checksum = 'x'", "text = 7"])
def test_a_text_that_was_changed_or_stands_under_another_key_is_none(path, change):
    KeptTexts(path, most=10).write([("a", "one")])
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(f"update texts set {change}")
    assert (read(path, "a"), read(path, "b")) == (None, None)
    KeptTexts(path, most=10).write([("a", "one")])
    assert read(path, "a") == "one"


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0" + bytes(4096)])
def test_a_file_that_is_no_database_holds_nothing_and_is_begun_anew(path, content):
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert read(path, "a") is None
    for _ in range(2):  # the first may only clear it away
        KeptTexts(path, most=10).write([("a", "one")])
    assert read(path, "a") == "one"


def test_a_table_of_another_shape_is_begun_anew(path):
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("create table texts (something text)")
    assert read(path, "a") is None
    for _ in range(2):
        KeptTexts(path, most=10).write([("a", "one")])
    assert read(path, "a") == "one"


def test_pages_of_an_older_file_never_give_the_text_of_another_key(path):
    # As a power cut may leave them: some of what was written is on the disk, and some is not.
    old, new = ({f"{half} {n}": f"{half} {n} " * 300 for n in range(150)} for half in ("old", "new"))
    KeptTexts(path, most=1000).write(old.items())
    before = path.read_bytes()
    KeptTexts(path, most=150).write(new.items())
    after = path.read_bytes()
    rng, found = random.Random(0), list[str | None]()
    for _ in range(20):
        pages = [(before if rng.random() < 0.5 else after)[at : at + 4096] for at in range(0, len(after), 4096)]
        path.write_bytes(b"".join(pages))
        for key, text in (old | new).items():
            found.append(read(path, key))
            assert found[-1] in (None, text)
    assert None in found


def test_what_a_killed_writer_left_is_taken_back_by_whoever_reads(path):
    KeptTexts(path, most=10).write([("a", "one")])
    whole, journal = path.read_bytes(), path.with_name(f"{path.name}-journal")
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("pragma cache_size = 1")
        database.execute("begin")
        database.executemany("insert into texts values (?, ?, 0)", [(str(n), "x" * 5000) for n in range(100)])
        half, kept = path.read_bytes(), journal.read_bytes()
    path.write_bytes(half)
    journal.write_bytes(kept)
    assert len(half) > len(whole)
    assert read(path, "a") == "one"


def test_while_another_process_writes_nobody_waits_to_read(path, monkeypatch):
    monkeypatch.setattr(kept_texts, "_PATIENCE", 0.01)
    KeptTexts(path, most=10).write([("a", "one")])
    patience = list[float]()

    def connect(path, *, timeout):
        patience.append(timeout)
        return sqlite3.connect(path, timeout=timeout)

    with closing(sqlite3.connect(path)) as other:
        other.execute("begin exclusive")
        monkeypatch.setattr(kept_texts, "sqlite3", Mock(wraps=sqlite3, connect=connect, Error=sqlite3.Error))
        reader = KeptTexts(path, most=10)
        assert reader.read("a") is None
        assert patience == [0]
        KeptTexts(path, most=10).write([("a", "two")])
    assert reader.read("a") == "one"


def test_where_there_is_no_place_or_no_sqlite_nothing_is_kept(path, monkeypatch):
    path.parent.mkdir(parents=True)
    (path.parent / "file").touch()
    KeptTexts(path.parent / "file" / "texts", most=10).write([("a", "one")])
    assert read(path.parent / "file" / "texts", "a") is None
    monkeypatch.setattr(kept_texts, "HAS_SQLITE", False)
    KeptTexts(path, most=10).write([("a", "one")])
    assert read(path, "a") is None
    assert not path.exists()


def test_nothing_is_written_where_the_disk_is_nearly_full(path, monkeypatch):
    monkeypatch.setattr("pcn_cli.files.cache.SPARE_BYTES", shutil.disk_usage(path.anchor).total)
    KeptTexts(path, most=10).write([("a", "one")])
    assert not path.exists()
