"""A table of labels: file,label[,split][,group], separated by commas, semicolons or tabs. All cells are text.

A column `labels` in the place of `label` holds several names with ; or | between them, or none. Class names are never
read as YAML, numbers or dates; other columns are left alone.
"""

import csv
import io
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pcn_cli.errors import DataError
from pcn_cli.files.atomic import rearm_cell
from pcn_cli.records.labels import SEVERAL, join_labels
from pcn_cli.records.photos import Part

TABLE_NAMES = ("labels.csv", "split.csv")
SEPARATORS = ";|"
PART_NAMES: dict[str, Part] = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


@dataclass(frozen=True, kw_only=True)
class LabelRow:
    """One listed photo; `file` is as written, relative to the table's folder, `line` its line in the table.

    `label` is one class, or all of the photo's joined where the table has a column `labels`.
    """

    file: str
    label: str
    split: Part | None
    group: str | None
    line: int


def find_table(root: Path, labels: Path | None) -> Path | None:
    """The table that names the classes: `labels`, otherwise one in the photos folder, otherwise None.

    Raises:
        DataError: `labels` does not exist.
    """
    if labels is not None:
        if not labels.is_file():
            raise DataError(f"no such table of labels: {labels}")
        return labels
    return next((root / name for name in TABLE_NAMES if (root / name).is_file()), None)


def has_several(table: Path) -> bool:
    """Whether the table gives photos several labels; errors as of `read_header`."""
    return SEVERAL in read_header(table)


def read_header(table: Path) -> list[str]:
    """The names of the columns, in lower case.

    Raises:
        DataError: not UTF-8, or no such table.
    """
    text = _read_text(table)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    try:
        return _name_columns(next(reader, []))
    except csv.Error as error:
        raise DataError(f"{table}, line {reader.line_num}: {error}") from error


def read_labels(table: Path, *, group_column: str = "group") -> list[LabelRow]:
    """The rows of a table of labels, in order; their groups are the cells of `group_column`.

    Raises:
        DataError: not UTF-8, no header, a column is missing, or a row is malformed; the message names the line.
    """
    text = _read_text(table)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    try:
        header = _name_columns(next(reader, []))
        _check_header(header, table, group_column.strip().casefold())
        several = SEVERAL in header
        # Our own split.csv disarms cells that a spreadsheet would run; it is known by its hashes.
        read_cell = rearm_cell if "sha256" in header else str
        rows = []
        start = reader.line_num + 1  # a quoted cell may hold line breaks: a row is named by its first line
        for cells in reader:
            if any(cell.strip() for cell in cells):
                row = _name_cells([read_cell(cell) for cell in cells], header, f"{table}, line {start}")
                group = row.get(group_column.strip().casefold(), "").strip() or None
                rows.append(_read_row(row, table, start, group=group, several=several))
            start = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{table}, line {reader.line_num}: {error}") from error
    return _join_cells(rows, table) if several else rows


def _join_cells(rows: Sequence[LabelRow], table: Path) -> list[LabelRow]:
    """The rows with their labels joined in one order; one separator holds for the whole table."""
    first = {mark: row.line for mark in SEPARATORS for row in reversed(rows) if mark in row.label}
    if len(first) > 1:
        places = " and ".join(f"{mark} on line {line}" for mark, line in first.items())
        hint = "put the same one between labels everywhere; no class name may hold ; or |"
        raise DataError(f"{table}: both ; and | stand among the labels: {places}", hint)
    mark = next(iter(first), SEPARATORS[0])
    names = [[name.strip() for name in row.label.split(mark)] for row in rows]
    return [replace(row, label=join_labels(filter(None, own))) for row, own in zip(rows, names, strict=True)]


def _delimiter(text: str) -> str:
    return max(",;\t", key=text.partition("\n")[0].count)


def _name_columns(cells: list[str]) -> list[str]:
    return [cell.strip().casefold() for cell in cells]


def _read_text(table: Path) -> str:
    try:
        return table.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{table} is not UTF-8 text", "save it as CSV UTF-8 in your spreadsheet") from error
    except OSError as error:
        raise DataError(f"cannot read {table}: {error.strerror}") from error


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


def _name_cells(cells: list[str], header: list[str], where: str) -> dict[str, str]:
    while len(cells) > len(header) and not cells[-1].strip():
        cells.pop()
    if len(cells) > len(header):
        hint = "put quotes around a cell that holds the separator"
        raise DataError(f"{where}: {len(cells)} cells under {len(header)} columns", hint)
    return dict(zip(header, cells, strict=False))  # trailing empty cells may be left out


def _read_row(row: dict[str, str], table: Path, line: int, *, group: str | None, several: bool) -> LabelRow:
    where = f"{table}, line {line}"
    file, cell = row.get("file", "").strip(), row.get(SEVERAL if several else "label", "")
    label = unicodedata.normalize("NFC", cell.strip())
    if not file or not (label or several):
        raise DataError(f"{where}: no {'label for ' + file if file else 'file'}")
    if "\0" in file + label:
        raise DataError(f"{where}: a NUL character")
    part = row.get("split", "").strip().casefold()
    if part and part not in PART_NAMES:
        raise DataError(f"{where}: split is {part!r}", f"use one of {', '.join(PART_NAMES)}, or leave it empty")
    return LabelRow(file=file, label=label, split=PART_NAMES.get(part), group=group, line=line)
