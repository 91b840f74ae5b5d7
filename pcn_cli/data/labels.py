"""A table of labels: file,label[,split][,group], separated by commas, semicolons or tabs. All cells are text.

Class names are never read as YAML, numbers or dates; other columns are left alone.
"""

import csv
import io
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from pcn_cli.errors import DataError
from pcn_cli.files.atomic import rearm_cell
from pcn_cli.records.photos import Part

TABLE_NAMES = ("labels.csv", "split.csv")
PART_NAMES: dict[str, Part] = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


@dataclass(frozen=True, kw_only=True)
class LabelRow:
    """One listed photo; `file` is as written, relative to the table's folder, `line` its line in the table."""

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
        # Our own split.csv disarms cells that a spreadsheet would run; it is known by its hashes.
        read_cell = rearm_cell if "sha256" in header else str
        rows = []
        start = reader.line_num + 1  # a quoted cell may hold line breaks: a row is named by its first line
        for cells in reader:
            if any(cell.strip() for cell in cells):
                row = _name_cells([read_cell(cell) for cell in cells], header, f"{table}, line {start}")
                group = row.get(group_column.strip().casefold(), "").strip() or None
                rows.append(_read_row(row, table, start, group=group))
            start = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{table}, line {reader.line_num}: {error}") from error
    return rows


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
    missing = [name for name in ("file", "label") if name not in header]
    if missing:
        found = ", ".join(header) or "nothing"
        raise DataError(f"{table}, line 1: no column {' and no column '.join(missing)}; found {found}", hint)
    twice = [name for name in dict.fromkeys(("file", "label", "split", group_column)) if header.count(name) > 1]
    if twice:
        raise DataError(f"{table}, line 1: the column {twice[0]} stands there twice", hint)


def _name_cells(cells: list[str], header: list[str], where: str) -> dict[str, str]:
    while len(cells) > len(header) and not cells[-1].strip():
        cells.pop()
    if len(cells) > len(header):
        hint = "put quotes around a cell that holds the separator"
        raise DataError(f"{where}: {len(cells)} cells under {len(header)} columns", hint)
    return dict(zip(header, cells, strict=False))  # trailing empty cells may be left out


def _read_row(row: dict[str, str], table: Path, line: int, *, group: str | None) -> LabelRow:
    where = f"{table}, line {line}"
    file, label = row.get("file", "").strip(), unicodedata.normalize("NFC", row.get("label", "").strip())
    if not file or not label:
        raise DataError(f"{where}: no {'label for ' + file if file else 'file'}")
    if "\0" in file + label:
        raise DataError(f"{where}: a NUL character")
    part = row.get("split", "").strip().casefold()
    if part and part not in PART_NAMES:
        raise DataError(f"{where}: split is {part!r}", f"use one of {', '.join(PART_NAMES)}, or leave it empty")
    return LabelRow(file=file, label=label, split=PART_NAMES.get(part), group=group, line=line)
