"""A table as a spreadsheet saves it: its header and its rows as text, each with the line that it begins on.

What it may hold is bounded by how many files there are that it can be about: rows of other photos fill the memory.
"""

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from pcn_cli.errors import DataError

TABLE_NAMES = ("labels.csv", "split.csv")
# What tools write above the header: nothing, empty cells, a remark, or Excel's word for the separator. A column may be
# called #.
_PREFACE = re.compile(r"[\s,;]*+(#(?!\s*[,;\t]).*|sep=.)?+[\s,;]*+", re.IGNORECASE)
MOST_COLUMNS = 25_000  # ImageNet's whole tree has 21,843 classes
_MOST_ROWS, _ROWS_OF_FILE = 100_000, 4
_MOST_BYTES, _BYTES_OF_FILE = 16 * 2**20, 64 * 2**10
_LARGE_HINT = "keep the rows of photos that are there, or name the folder that holds the others as well"


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


def read_table(path: Path, *, files: int = 0) -> Table:
    """The table at `path`; separators are commas, semicolons or tabs, whichever its header has most of.

    `files` are how many there are that it may list: of many, a large table is read as well.

    Raises:
        DataError: it cannot be read, is not UTF-8, its quotes are broken, or it is far larger than so many files need.
    """
    most = max(_MOST_ROWS, _ROWS_OF_FILE * files)
    if path.suffix.lower() in (".json", ".jsonl", ".ndjson"):
        raise DataError(f"{path} is JSON, and a table of labels is CSV", "save it as CSV with the columns file,label")
    try:
        _refuse_large(path, files)
        with path.open(encoding="utf-8-sig", newline="") as file:
            line, first = _find_header(file)
            rows = _read_rows(path, first, file, line)
            header = next(rows, (line, []))[1]
            filled = list[tuple[int, list[str]]]()
            for row in rows:
                if len(filled) == most:
                    raise DataError(f"{path} has more than {most:,} rows{_for(files)}", _LARGE_HINT)
                if any(cell.strip() for cell in row[1]):
                    filled.append(row)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text", "save it as CSV UTF-8 in your spreadsheet") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    return Table(path=path, header=tuple(cell.strip() for cell in header), line=line, rows=tuple(filled))


def _refuse_large(path: Path, files: int) -> None:
    size, most = path.stat().st_size, _MOST_BYTES + _BYTES_OF_FILE * files
    if size > most:
        told = f"{path} has {size / 2**20:,.0f} MB, more than the {most / 2**20:,.0f} MB that are read{_for(files)}"
        raise DataError(told, _LARGE_HINT)


def _for(files: int) -> str:
    """What bounds a table, in words."""
    return f" where the folder of photos holds {files:,} files" if files else ""


def _find_header(lines: Iterable[str]) -> tuple[int, str]:
    """The number of the first line that says something, and the line; what stands above it is passed over."""
    number = 0
    for number, line in enumerate(lines, start=1):
        if not _PREFACE.fullmatch(line):
            return number, line
    return number + 1, ""


def _read_rows(path: Path, header: str, below: Iterable[str], first: int) -> Iterator[tuple[int, list[str]]]:
    """The line that each row begins on, and its cells; a quoted cell may hold line breaks."""
    delimiter = max(",;\t", key=header.count)
    reader = csv.reader(chain([header], below), delimiter=delimiter, strict=True, skipinitialspace=True)
    line = first
    try:
        for cells in reader:
            if len(cells) > MOST_COLUMNS:
                raise DataError(f"{path}, line {line}: {len(cells):,} cells, and a row has at most {MOST_COLUMNS:,}")
            yield line, cells
            line = reader.line_num + first
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num + first - 1}: {error}") from error
