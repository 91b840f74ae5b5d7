"""What a table of labels says of each photo: its label, part and group. All cells are text.

Class names are never read as YAML, numbers or dates. Which columns are read stands in columns.py, which files the cells
name in listed_files.py.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pcn_cli.data.scan.class_names import clean_name, refuse_lookalikes
from pcn_cli.data.scan.columns import Columns
from pcn_cli.data.scan.part_names import read_parts
from pcn_cli.data.scan.table import MOST_COLUMNS, Table
from pcn_cli.errors import DataError, shown
from pcn_cli.files.atomic import rearm_cell
from pcn_cli.records.photos import PARTS, SEPARATOR, SEVERAL, Part, join_labels, split_labels

SEPARATORS = ";|"
MOST_CLASSES = MOST_COLUMNS
_LONGEST = 4096  # signs of a path, a class, a group or a part, as systems bound paths


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A file that may be a photo, with its label (one class, or all of them joined), and where a table lists it."""

    file: str
    label: str
    split: Part | None = None
    group: str | None = None
    line: int | None = None


def list_candidates(table: Table, columns: Columns) -> list[Candidate]:
    """The files that the table lists, as written, in order.

    Raises:
        DataError: a row is malformed; the message names the line.
    """
    # Our own tables disarm whatever a spreadsheet would run, and apostrophes; they are known by these columns.
    own = any(table.find(name) is not None for name in ("sha256", "confidence"))
    split = columns.split
    parts = (
        read_parts({cells[split].strip() for _, cells in table.rows if len(cells) > split}) if split is not None else {}
    )
    rows = [
        _read_row(_rearm(cells, own=own), line, table=table, columns=columns, parts=parts) for line, cells in table.rows
    ]
    rows = _join_cells(rows, table) if columns.multi_label and not columns.one_hot else rows
    cleaned = _clean_names(rows, table, multi_label=columns.multi_label)
    labels = (
        SEPARATOR.join(cleaned[name] for name in split_labels(row.label, multi_label=columns.multi_label))
        for row in rows
    )
    return [row if row.label == label else replace(row, label=label) for row, label in zip(rows, labels, strict=True)]


def _clean_names(rows: Sequence[Candidate], table: Table, *, multi_label: bool) -> dict[str, str]:
    """How each name among the labels is called as a class; a DataError where they are too many, long, or look alike."""
    names = dict[str, str]()
    for row in rows:
        for name in split_labels(row.label, multi_label=multi_label):
            if name not in names:
                _refuse_long(name, f"{table.path}, line {row.line}")
                names[name] = clean_name(name)
        if len(names) > MOST_CLASSES:
            hint = "a class is a name that many photos share; say which column it is with --label-column NAME"
            raise DataError(f"{table.path} names more than {MOST_CLASSES:,} classes", hint)
    refuse_lookalikes(names)
    return names


def _refuse_long(text: str, where: str) -> None:
    if len(text) > _LONGEST:
        told = f"{where}: {len(text):,} signs in one name, {shown(text)}, and at most {_LONGEST:,} are read"
        raise DataError(told, "look for a quote that is not closed, or name the columns that are meant")


def _join_cells(rows: Sequence[Candidate], table: Table) -> list[Candidate]:
    """The rows with their labels joined in one order; one separator holds for the whole table."""
    first = {mark: row.line for mark in SEPARATORS for row in reversed(rows) if mark in row.label}
    if len(first) > 1:
        places = " and ".join(f"{mark} on line {line}" for mark, line in first.items())
        hint = "put the same one between labels everywhere; no class name may hold ; or |"
        raise DataError(f"{table.path}: both ; and | stand among the labels: {places}", hint)
    mark = next(iter(first), SEPARATORS[0])
    names = [[name.strip() for name in row.label.split(mark)] for row in rows]
    return [replace(row, label=join_labels(filter(None, own))) for row, own in zip(rows, names, strict=True)]


def _rearm(cells: list[str], *, own: bool) -> list[str]:
    """The cells without the apostrophes that disarm a formula; of others' tables a quoted word keeps its own."""
    if "'" not in "".join(cells):  # few have one, of a million
        return cells
    return [rearm_cell(cell) if own or not cell.startswith("''") else cell for cell in cells]


def _read_row(cells: list[str], line: int, *, table: Table, columns: Columns, parts: Mapping[str, Part]) -> Candidate:
    where = f"{table.path}, line {line}"
    if len(cells) > len(table.header):
        if any(cell.strip() for cell in cells[len(table.header) :]):
            hint = "put quotes around a cell that holds the separator"
            raise DataError(f"{where}: {len(cells)} cells under {len(table.header)} columns", hint)
        cells = cells[: len(table.header)]
    file, part, group = (_read_cell(cells, number, where) for number in (columns.file, columns.split, columns.group))
    label = _read_label(cells, table, columns)
    if not file or not (label or columns.multi_label):
        raise DataError(f"{where}: no {'label for ' + file if file else 'file'}")
    if "\0" in file + label:
        raise DataError(f"{where}: a NUL character")
    if part and part not in parts:
        hint = f"use one of {', '.join(PARTS)}, or leave it empty"
        raise DataError(f"{where}: split is {part!r}", hint)
    return Candidate(file=file, label=label, split=parts.get(part), group=group or None, line=line)


def _read_cell(cells: Sequence[str], number: int | None, where: str) -> str:
    """The text of a cell; trailing empty cells may be left out."""
    text = cells[number].strip() if number is not None and number < len(cells) else ""
    _refuse_long(text, where)
    return text


def _read_label(cells: Sequence[str], table: Table, columns: Columns) -> str:
    """What stands in the column of labels, or the names of the columns that hold a 1."""
    if columns.label is not None:
        label = cells[columns.label].strip() if columns.label < len(cells) else ""
        return unicodedata.normalize("NFC", label)
    names = [unicodedata.normalize("NFC", table.header[number]) for number in columns.ones(cells)]
    try:
        return join_labels(names) if columns.multi_label else "".join(names)
    except ValueError as error:
        raise DataError(
            f"{table.place}: {error}", f"rename the column, or write a column {SEVERAL} in its place"
        ) from error
