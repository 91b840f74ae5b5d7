"""A table as a spreadsheet saves it: its header and its rows as text, each with the line that it begins on."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pcn_cli.errors import DataError

TABLE_NAMES = ("labels.csv", "split.csv")
# What tools write above the header: nothing, empty cells, a remark, or Excel's word for the separator. A column may be
# called #.
_PREFACE = re.compile(r"[\s,;]*(#(?!\s*[,;\t]).*|sep=.)?[\s,;]*", re.IGNORECASE)
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|$)")


@dataclass(frozen=True, kw_only=True)
class Table:
    """The cells of a table; `header` is as written, without spaces around, and stands on line `line`."""

    path: Path
    header: tuple[str, ...]
    line: int
    rows: tuple[tuple[int, list[str]], ...]

    @property
    def place(self) -> str:
        """Where the header stands, for a message."""
        return f"{self.path}, line {self.line}"

    def find(self, name: str) -> int | None:
        """The number of the column of that name, in either case; the first of several."""
        wanted = name.strip().casefold()
        return next((n for n, one in enumerate(self.header) if one.casefold() == wanted), None)


def find_table(root: Path, labels: Path | None) -> Path | None:
    """The table that names the classes: `labels`, otherwise one in the photos folder, otherwise None."""
    if labels is None:
        return next((root / name for name in TABLE_NAMES if (root / name).is_file()), None)
    if not labels.is_file():
        what = "is a folder" if labels.is_dir() else "is no regular file" if labels.exists() else "does not exist"
        raise DataError(f"no such table of labels: {labels} {what}", "name a CSV file with the columns file,label")
    return labels


def read_table(path: Path) -> Table:
    """The table at `path`; separators are commas, semicolons or tabs, whichever its header has most of.

    Raises:
        DataError: it cannot be read, is not UTF-8, or its quotes are broken.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text", "save it as CSV UTF-8 in your spreadsheet") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    start, line = _find_header(text)
    rows = list(_read_rows(path, text[start:], line))
    header = rows[0][1] if rows else []
    filled = ((at, cells) for at, cells in rows[1:] if any(cell.strip() for cell in cells))
    return Table(path=path, header=tuple(cell.strip() for cell in header), line=line, rows=tuple(filled))


def _find_header(text: str) -> tuple[int, int]:
    """Where the first line begins that says something, and its number."""
    start, line = 0, 1
    while start < len(text) and (match := _LINE.match(text, start)) and _PREFACE.fullmatch(match[0]):
        start, line = match.end(), line + 1
    return start, line


def _read_rows(path: Path, text: str, first: int) -> Iterator[tuple[int, list[str]]]:
    """The line that each row begins on, and its cells; a quoted cell may hold line breaks."""
    delimiter = max(",;\t", key=(_LINE.match(text) or [""])[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True)
    line = first
    try:
        for cells in reader:
            yield line, cells
            line = reader.line_num + first
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num + first - 1}: {error}") from error
