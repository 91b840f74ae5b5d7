"""Short texts kept between runs and processes, under keys that say all that they depend on, in one SQLite file.

A file for each would take longer than what they spare. Whatever goes wrong, the work is done as without.
"""

import zlib
from collections.abc import Iterable
from contextlib import closing, suppress
from importlib.util import find_spec
from pathlib import Path

from pcn_cli.files.cache import is_spare

if HAS_SQLITE := find_spec("_sqlite3") is not None:  # else Python was built without it, and nothing is kept
    import sqlite3

_PAGE = "pragma page_size = 16384"  # of 4,096 bytes, SQLite's own, a text of 2.5 kB would fill one alone
_TABLE = "create table if not exists texts (key text not null unique, text text not null, checksum integer not null)"
_READ = "select text, checksum from texts where key = ?"
_WRITE = "insert or replace into texts values (?, ?, ?)"
_OLDEST_OUT = "delete from texts where rowid <= (select max(rowid) from texts) - ?"  # the number rises with each text
_PATIENCE = 10.0  # seconds that another process may write meanwhile
_SPOILED = {"SQLITE_ERROR", "SQLITE_CORRUPT", "SQLITE_NOTADB"}  # it is no database, or its table is another


class KeptTexts:
    """Texts in the file `path`, the last `most` that were written; a process and thread needs its own."""

    def __init__(self, path: Path, *, most: int) -> None:
        self._path, self._most = path, most
        self._reader: sqlite3.Connection | None = None

    def read(self, key: str) -> str | None:
        """The text under `key`, or None where there is none, or a damaged one, or another process writes."""
        if not HAS_SQLITE or (self._reader is None and not self._path.is_file()):
            return None
        try:
            self._reader = self._reader or sqlite3.connect(self._path, timeout=0)
            text, checksum = self._reader.execute(_READ, (key,)).fetchone() or ("", None)
        except sqlite3.Error:
            return None
        return text if isinstance(text, str) and _checksum(key, text) == checksum else None

    def write(self, texts: Iterable[tuple[str, str]]) -> None:
        """Keep keys and their texts, if there is room on the disk; the oldest ones go."""
        if not HAS_SQLITE:
            return
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)  # photos are nobody else's business
            if is_spare(self._path.parent):
                try:
                    self._write(texts)
                except sqlite3.Error as error:
                    if getattr(error, "sqlite_errorname", "") in _SPOILED:
                        self._path.unlink()

    def _write(self, texts: Iterable[tuple[str, str]]) -> None:
        with closing(sqlite3.connect(self._path, timeout=_PATIENCE)) as database:
            database.execute(_PAGE)
            database.execute("pragma synchronous = off")  # what is lost is made again
            with database:  # all of it or nothing
                database.execute(_TABLE)
                database.executemany(_WRITE, ((key, text, _checksum(key, text)) for key, text in texts))
                database.execute(_OLDEST_OUT, (self._most,))


def _checksum(key: str, text: str) -> int:
    """Of both: after a power cut a key may lead to the text of another one."""
    return zlib.crc32(f"{key}\0{text}".encode("utf-8", "surrogatepass"))
