"""Gallery: every prediction, looked for by: wrong, unsure, its look, a second copy, a doubted label."""

from collections.abc import Callable
from dataclasses import dataclass

from pcn_cli.records.photos import natural_order
from pcn_cli.records.predictions import PhotoPlace
from pcn_cli.report.content import ReportContent
from pcn_cli.report.format import clean
from pcn_cli.report.view_model import ReportView, Row, Rows

MOST_CHOICES = 80  # above this, two lists of all class names would be too long to use and to hold
UNSURE = 0.5  # where the model has no threshold of its own
AT_BORDER = 1.5  # times the even share of the outer ring of patches


@dataclass(frozen=True, kw_only=True)
class Filter:
    """A kind of picture: its name in the address, its words, and the numbers of the rows that are of it."""

    name: str
    title: str
    rows: tuple[int, ...]


def view_gallery(report: ReportView) -> dict[str, object]:
    """Every prediction, filtered, sorted, page by page."""
    rows = report.rows
    return {
        "labels": sorted({name for row in rows.all for name in row.labels or ()}, key=natural_order),
        "predicted": sorted({name for row in rows.all for name in row.predicted_labels}, key=natural_order),
        "filters": find_filters(report.content, rows),
        "most_choices": MOST_CHOICES,
        "front": rows.front,
        "placed": bool(report.content.artifacts.rows(PhotoPlace)),
        "mapped": report.content.maps is not None,
        "hidden": any(row.prediction.hiding for row in rows.all),
    }


def find_filters(content: ReportContent, rows: Rows) -> tuple[Filter, ...]:
    """Every kind that at least one picture is of, in the order of the gallery's choices."""
    least = unsure_below(content)
    copies = {file for tie in (content.scan.copies if content.scan else ()) for file in (tie.file, tie.other)}
    doubted = {one.file for one in content.suspects}
    kinds: tuple[tuple[str, str, Callable[[Row], bool]], ...] = (
        ("wrong", "wrong", lambda row: row.correct is False),
        ("right", "right", lambda row: row.correct is True),
        ("unsure", f"under {100 * least:.0f} % sure", lambda row: row.prediction.confidence < least),
        ("border", "looks at the border", lambda row: row.prediction.attention.border_share >= AT_BORDER),
        ("flips", "flips when hidden", _flips),
        ("copy", "has a copy", lambda row: row.prediction.file in copies),
        ("unlike", "unlike anything learned", lambda row: row.prediction.is_unlike),
        ("suspect", "label in doubt", lambda row: row.prediction.file in doubted),
    )
    found = [(name, title, tuple(row.number for row in rows.all if has(row))) for name, title, has in kinds]
    return tuple(Filter(name=name, title=title, rows=own) for name, title, own in found if own)


def unsure_below(content: ReportContent) -> float:
    """The confidence below which a prediction counts as unsure: the model's own threshold where it has one."""
    selection = content.confidence.selection if content.confidence else None
    return selection.threshold if selection is not None and selection.threshold is not None else UNSURE


def _flips(row: Row) -> bool:
    """Whether another class is predicted once the patches that hold half of the look are hidden."""
    return row.prediction.hiding is not None and clean(row.prediction.hiding.hidden_top) != row.predicted
