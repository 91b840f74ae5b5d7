"""What a picture can be looked for by: wrong, unsure, its look, a second copy, a doubted label."""

from collections.abc import Callable
from dataclasses import dataclass

from pcn_cli.report.content import ReportContent
from pcn_cli.report.format import clean
from pcn_cli.report.rows import Row, Rows

UNSURE = 0.5  # where the model has no threshold of its own
AT_BORDER = 1.5  # times the even share of the outer ring of patches


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A kind of picture: its name in the address, its words, and the numbers of the rows that have it."""

    name: str
    title: str
    rows: tuple[int, ...]


def find_marks(content: ReportContent, rows: Rows) -> tuple[Mark, ...]:
    """Every kind that at least one picture is of, in the order of the gallery's choices."""
    least = unsure_below(content)
    copies = {file for tie in content.copies for file in (tie.file, tie.other)}
    doubted = {one.file for one in content.suspects}
    marks = (
        _mark("wrong", "wrong", rows, lambda row: row.correct is False),
        _mark("right", "right", rows, lambda row: row.correct is True),
        _mark("unsure", f"under {100 * least:.0f} % sure", rows, lambda row: row.confidence < least),
        _mark("border", "looks at the border", rows, _at_border),
        _mark("flips", "flips when hidden", rows, _flips),
        _mark("copy", "has a copy", rows, lambda row: row.source in copies),
        _mark("suspect", "label in doubt", rows, lambda row: row.source in doubted),
    )
    return tuple(mark for mark in marks if mark.rows)


def unsure_below(content: ReportContent) -> float:
    """The confidence below which a prediction counts as unsure: the model's own threshold where it has one."""
    selection = content.confidence.selection if content.confidence else None
    return selection.threshold if selection is not None and selection.threshold is not None else UNSURE


def _mark(name: str, title: str, rows: Rows, has: Callable[[Row], bool]) -> Mark:
    return Mark(name=name, title=title, rows=tuple(row.number for row in rows.all if has(row)))


def _flips(row: Row) -> bool:
    """Whether another class is predicted once the patches that hold half of the look are hidden."""
    return row.hiding is not None and clean(row.hiding.hidden_top) != row.predicted


def _at_border(row: Row) -> bool:
    return row.attention.border_share >= AT_BORDER
