import shutil
import sqlite3
from contextlib import closing

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


def test_a_changed_text_is_none_until_it_is_written_again(path):
    KeptTexts(path, most=10).write([("a", "one")])
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("update texts set text = 'two'")
    assert read(path, "a") is None
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


def test_a_file_that_lost_its_middle_or_its_end_never_gives_another_text(path):
    texts = {str(number): f"{number} " * 300 for number in range(200)}
    KeptTexts(path, most=1000).write(texts.items())
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:20_000] + bytes(60_000) + whole[80_000:]):
        path.write_bytes(damaged)
        found = {key: read(path, key) for key in texts}
        assert set(found.values()) <= {None, *texts.values()}
        assert all(text in (None, texts[key]) for key, text in found.items())
        assert None in found.values()


def test_while_another_process_writes_or_the_place_is_no_folder_nothing_is_kept(path, monkeypatch):
    monkeypatch.setattr(kept_texts, "_PATIENCE", 0.01)
    KeptTexts(path, most=10).write([("a", "one")])
    with closing(sqlite3.connect(path)) as other:
        other.execute("begin exclusive")
        assert read(path, "a") is None
        KeptTexts(path, most=10).write([("a", "two")])
    assert read(path, "a") == "one"
    (path.parent / "file").touch()
    KeptTexts(path.parent / "file" / "texts", most=10).write([("a", "one")])
    assert read(path.parent / "file" / "texts", "a") is None


def test_nothing_is_written_where_the_disk_is_nearly_full(path, monkeypatch):
    monkeypatch.setattr("pcn_cli.files.cache.SPARE_BYTES", shutil.disk_usage(path.anchor).total)
    KeptTexts(path, most=10).write([("a", "one")])
    assert not path.exists()
