"""Shift: whether new photos are like those that the model was measured on, what differs, and which show it."""

from pcn_cli.records.shift import Shift
from pcn_cli.report.view_model import ReportView


def view_shift(report: ReportView) -> dict[str, object] | None:
    """The values of templates/shift.html; None where nothing was compared."""
    shift = report.content.artifacts.find(Shift)
    if shift is None:
        return None
    rows = {row.prediction.file: row for row in report.rows.all}
    return {"shift": shift, "rows": [rows[file] for file in shift.shows if file in rows]}
