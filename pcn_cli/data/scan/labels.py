"""A table of labels: file,label[,split][,group], separated by commas, semicolons or tabs. All cells are text.

A column `labels` in the place of `label` holds several names with ; or | between them, or none. Class names are never
read as YAML, numbers or dates; other columns are left alone.
"""

import csv
import io
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

from pcn_cli.errors import DataError
from pcn_cli.files.atomic import rearm_cell
from pcn_cli.records.photos import SEVERAL, Part, join_labels

TABLE_NAMES = ("labels.csv", "split.csv")
SEPARATORS = ";|"
PART_NAMES: dict[str, Part] = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A file that may be a photo, with its label (one class, or all of them joined), and where a table lists it."""

    file: str
    label: str
    split: Part | None = None
    group: str | None = None
    line: int | None = None


def find_table(root: Path, labels: Path | None) -> Path | None:
    """The table that names the classes: `labels`, otherwise one in the photos folder, otherwise None."""
    if labels is None:
        return next((root / name for name in TABLE_NAMES if (root / name).is_file()), None)
    if not labels.is_file():
        raise DataError(f"no such table of labels: {labels}")
    return labels


def has_column(table: Path, name: str) -> bool:
    """Whether the table of labels has a column of that name, in either case."""
    return name.strip().casefold() in _read_header(_read_rows(table))


def read_labels(table: Path, *, group_column: str = "group") -> list[Candidate]:
    """The files that a table of labels lists, as written, in order; their groups are the cells of `group_column`.

    Raises:
        DataError: not UTF-8, no header, a column is missing, or a row is malformed; the message names the line.
    """
    group_column = group_column.strip().casefold()
    rows = _read_rows(table)
    header = _read_header(rows)
    _check_header(header, table, group_column)
    # Our own split.csv disarms cells that a spreadsheet would run; it is known by its hashes.
    read_cell = rearm_cell if "sha256" in header else str
    listed = []
    for line, cells in rows:
        if any(cell.strip() for cell in cells):
            row = _read_row([read_cell(cell) for cell in cells], header, f"{table}, line {line}", group_column)
            listed.append(replace(row, line=line))
    return _join_cells(listed, table) if SEVERAL in header else listed


def _join_cells(rows: Sequence[Candidate], table: Path) -> list[Candidate]:
    """The rows with their labels joined in one order; one separator holds for the whole table."""
    first = {mark: row.line for mark in SEPARATORS for row in reversed(rows) if mark in row.label}
    if len(first) > 1:
        places = " and ".join(f"{mark} on line {line}" for mark, line in first.items())
        hint = "put the same one between labels everywhere; no class name may hold ; or |"
        raise DataError(f"{table}: both ; and | stand among the labels: {places}", hint)
    mark = next(iter(first), SEPARATORS[0])
    names = [[name.strip() for name in row.label.split(mark)] for row in rows]
    return [replace(row, label=join_labels(filter(None, own))) for row, own in zip(rows, names, strict=True)]


def _read_header(rows: Iterator[tuple[int, list[str]]]) -> list[str]:
    return [cell.strip().casefold() for cell in next(rows, (1, []))[1]]


def _read_rows(table: Path) -> Iterator[tuple[int, list[str]]]:
    """The line that each row begins on, and its cells; a quoted cell may hold line breaks."""
    try:
        text = table.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{table} is not UTF-8 text", "save it as CSV UTF-8 in your spreadsheet") from error
    except OSError as error:
        raise DataError(f"cannot read {table}: {error.strerror}") from error
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        for cells in reader:
            yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{table}, line {reader.line_num}: {error}") from error


def _check_header(header: list[str], table: Path, group_column: str) -> None:
    hint = "the first line must be: file,label (and split,group where you have them)"
    if {"label", SEVERAL} <= set(header):
        several_hint = f"keep {SEVERAL} where a photo may have several, with ; between them, otherwise label"
        raise DataError(f"{table}, line 1: a column label and a column {SEVERAL}", several_hint)
    label = SEVERAL if SEVERAL in header else "label"
    missing = [name for name in ("file", label) if name not in header]
    if missing:
        found = ", ".join(header) or "nothing"
        raise DataError(f"{table}, line 1: no column {' and no column '.join(missing)}; found {found}", hint)
    twice = [name for name in dict.fromkeys(("file", label, "split", group_column)) if header.count(name) > 1]
    if twice:
        raise DataError(f"{table}, line 1: the column {twice[0]} stands there twice", hint)


def _read_row(cells: list[str], header: list[str], where: str, group_column: str) -> Candidate:
    while len(cells) > len(header) and not cells[-1].strip():
        cells.pop()
    if len(cells) > len(header):
        hint = "put quotes around a cell that holds the separator"
        raise DataError(f"{where}: {len(cells)} cells under {len(header)} columns", hint)
    row = dict(zip_longest(header, cells, fillvalue=""))  # trailing empty cells may be left out
    file = row["file"].strip()
    label = unicodedata.normalize("NFC", row[SEVERAL if SEVERAL in row else "label"].strip())
    if not file or not (label or SEVERAL in row):
        raise DataError(f"{where}: no {'label for ' + file if file else 'file'}")
    if "\0" in file + label:
        raise DataError(f"{where}: a NUL character")
    part = row.get("split", "").strip().casefold()
    if part and part not in PART_NAMES:
        raise DataError(f"{where}: split is {part!r}", f"use one of {', '.join(PART_NAMES)}, or leave it empty")
    group = row.get(group_column, "").strip() or None
    return Candidate(file=file, label=label, split=PART_NAMES.get(part), group=group)
