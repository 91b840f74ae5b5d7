"""Short texts kept between runs and processes, under keys that say all that they depend on, in one SQLite file.

A file for each would take longer than what they spare. Whatever goes wrong, the work is done as without.
"""

import sqlite3
import zlib
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path

from pcn_cli.files.cache import is_spare

_TABLE = "create table if not exists texts (key text not null unique, text text not null, checksum integer not null)"
_READ = "select text, checksum from texts where key = ?"
_WRITE = (
    "insert into texts values (?, ?, ?) on conflict (key) do update"
    " set text = excluded.text, checksum = excluded.checksum"
    " where text <> excluded.text or checksum <> excluded.checksum"
)
_OLDEST_OUT = "delete from texts where rowid <= (select max(rowid) from texts) - ?"  # the number rises with each text
_PATIENCE = 1.0  # seconds that another process may write meanwhile


class KeptTexts:
    """Texts in the file `path`, the last `most` that were written; a process and thread needs its own."""

    def __init__(self, path: Path, *, most: int) -> None:
        self.path, self._most = path, most
        self._reader: sqlite3.Connection | None = None

    def read(self, key: str) -> str | None:
        """The text under `key`, or None where there is none, or a damaged one."""
        try:
            if self._reader is None:
                self._reader = sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True, timeout=_PATIENCE)
            text, checksum = self._reader.execute(_READ, (key,)).fetchone() or ("", None)
        except (sqlite3.Error, OSError, ValueError):
            return None
        return text if isinstance(text, str) and _checksum(text) == checksum else None

    def write(self, texts: Iterable[tuple[str, str]]) -> None:
        """Keep keys and their texts, if there is room on the disk; the oldest ones go."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)  # photos are nobody else's business
            if not is_spare(self.path.parent):
                return
            with closing(sqlite3.connect(self.path, timeout=_PATIENCE)) as database:
                database.execute("pragma synchronous = off")  # what is lost is seen again
                with database:  # all of it or nothing
                    database.execute(_TABLE)
                    database.executemany(_WRITE, ((key, text, _checksum(text)) for key, text in texts))
                    database.execute(_OLDEST_OUT, (self._most,))
        except (OSError, sqlite3.OperationalError):  # locked, or not ours to write
            return
        except sqlite3.DatabaseError:  # no database any more
            with suppress(OSError):
                self.path.unlink()


def _checksum(text: str) -> int:
    return zlib.crc32(text.encode("utf-8", "surrogatepass"))
