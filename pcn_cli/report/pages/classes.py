"""Classes: precision, recall and F1 of each."""

from pcn_cli.records.metrics import ClassRow
from pcn_cli.report.format import clean
from pcn_cli.report.view_model import ReportView

MOST_ROWS = 100


def view_classes(report: ReportView) -> dict[str, object] | None:
    """The values of templates/classes.html; None without a per-class table."""
    table = report.content.per_class
    if not table:
        return None
    # Of very many classes those are shown that need a look: with photos, and the worst recall.
    shown = table if len(table) <= MOST_ROWS else sorted(table, key=_worst_first)[:MOST_ROWS]
    confidence = report.content.confidence
    thresholds = {one.label: one for one in confidence.thresholds} if confidence else {}
    return {
        "table": [(clean(row.label), row, thresholds.get(row.label)) for row in shown],
        "thresholds": bool(thresholds),
        "left_out": len(table) - len(shown),
    }


def _worst_first(row: ClassRow) -> tuple[bool, float, int]:
    return (row.recall is None, row.recall or 0.0, -row.support)
