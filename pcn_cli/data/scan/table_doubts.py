"""What speaks against a reading of a table: several labels in one cell, and columns that may name parts.

Nothing is put right in silence: a finding says how the table was read, and what would settle it.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from itertools import islice

from pcn_cli.data.scan.columns import Columns
from pcn_cli.data.scan.labels import SEPARATORS, Candidate
from pcn_cli.data.scan.part_names import asks_of_part, read_parts
from pcn_cli.data.scan.table import Table
from pcn_cli.data.scan.unlabelled import name_some
from pcn_cli.records.metrics import Finding
from pcn_cli.records.photos import PARTS, SEPARATOR, SEVERAL, split_labels

_MOST_PARTS, _MOST_TOLD = 100, 10  # words in a column of parts, and such columns that are told of
_JOINTS = (*SEPARATORS, ",", " ")  # what people put between labels, the surest first


def find_table_doubts(table: Table, columns: Columns, rows: Sequence[Candidate]) -> Iterator[Finding]:
    """What a person should look at, because the table may mean something else than was read."""
    if not columns.one_hot:
        labels = {row.label for row in rows}
        find = _find_never_several if columns.multi_label else _find_joined
        yield from find(table, labels)
    if columns.split is None:
        yield from islice(_find_parts(table, columns), _MOST_TOLD)


def _find_never_several(table: Table, labels: Collection[str]) -> Iterator[Finding]:
    """A finding where a table may give photos several labels, and gives none more than one."""
    if any(len(split_labels(label, multi_label=True)) > 1 for label in labels):
        return
    commas = next((label for label in sorted(labels) if "," in label), None)
    remedy = "If each photo has exactly one label, call the column label."
    yield Finding(
        severity="warning",
        title=f"No photo has several labels, though the column is called {SEVERAL}",
        evidence=f"{table.path.name} holds neither ; nor |" + (f"; {commas!r} is read as one name." if commas else "."),
        remedy=f"If the comma stands between labels, write ; in its place. {remedy}" if commas else remedy,
    )


def _find_joined(table: Table, labels: Collection[str]) -> Iterator[Finding]:
    """A finding where a class looks like several labels of one photo: each of its pieces stands elsewhere, too."""
    for joint in _JOINTS:
        pieces = {label: [piece.strip() for piece in label.split(joint)] for label in sorted(labels)}
        counts = Counter(piece for own in pieces.values() for piece in set(own))
        # Words of a name stand in others as well, as in golden retriever: there each must be a class by itself.
        known = set(labels) if joint == " " else {piece for piece, count in counts.items() if count > 1}
        for label, own in pieces.items():
            if len(own) > 1 and known.issuperset(own):
                yield Finding(
                    severity="warning",
                    title="Some classes look like several labels of one photo",
                    evidence=f"In {table.path.name} {label!r} is read as one class; {name_some(own)} stand elsewhere.",
                    remedy=f"If a photo may have several, call the column {SEVERAL}, with {SEPARATOR} between them.",
                )
                return


def _find_parts(table: Table, columns: Columns) -> Iterator[Finding]:
    """A finding for each column that is not read and may say which part a photo is of."""
    used = columns.used
    for number, name in enumerate(table.header):
        if number in used:
            continue
        cells = Counter(cells[number].strip() for _, cells in table.rows if len(cells) > number)
        del cells[""]
        parts = read_parts(cells) if len(cells) <= _MOST_PARTS else {}
        told = 2 * sum(cells[word] for word in parts) >= cells.total() and len(set(parts.values())) > 1
        if cells and (told or asks_of_part(name)):
            yield Finding(
                severity="warning",
                title=f"The column {name} may name parts, and is not read",
                evidence=f"{table.path.name} holds {name_some(sorted(cells))} in it; pcn divides the photos itself.",
                remedy=f"To keep these parts, write {', '.join(PARTS)} into a column called split.",
            )
