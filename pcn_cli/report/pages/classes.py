"""Classes: precision, recall and F1 of each; and confusions: the matrix whose every cell opens its pictures."""

from collections.abc import Mapping
from math import ceil

from pcn_cli.records.evaluation import Curve
from pcn_cli.records.photos import natural_order
from pcn_cli.records.slices import Slices
from pcn_cli.report.format import clean
from pcn_cli.report.view_model import ReportView, Row, Rows

MOST_ROWS = 100
MOST_NAMES = 30  # a larger matrix can be neither read nor held in the page
MOST_PAIRS = 30
MOST_STRIPS, ON_STRIP = 3, 6  # confusions that are shown as pictures, and of each
MOST_CURVES, CURVE_POINTS = 12, 60
SIDE = 300  # of a chart, in its own units
CHARTS = (  # curves by class, with their title, its word in the glossary, and what lies across and up
    ("precision_recall", "Precision over recall", "average precision", "recall", "precision"),
    ("roc", "ROC: true over false positives", "ROC area", "false positives", "true positives"),
)
SHADES = 8
LEVEL_NAMES, LEVEL_LETTERS = 8, 14  # of columns, and of each of their names: up to so many have room to be read level


def view_classes(report: ReportView) -> dict[str, object] | None:
    """The values of templates/classes.html; None without a per-class table."""
    table = report.content.per_class
    if not table:
        return None
    # Of very many classes those are shown that need a look: with photos, and the worst recall.
    worst_first = sorted(table, key=lambda row: (row.recall is None, row.recall or 0.0, -row.support))
    in_order = sorted(table, key=lambda row: natural_order(row.label))
    shown = in_order if len(table) <= MOST_ROWS else worst_first[:MOST_ROWS]
    confidence = report.content.confidence
    thresholds = {one.label: one for one in confidence.thresholds} if confidence else {}
    slices = report.content.artifacts.find(Slices)
    return {
        "slices": slices,
        "worse": [(clean(f"{one.fact}: {one.name}"), one) for one in slices.worse] if slices else [],
        "side": SIDE,
        "charts": [(*words, draw_curves(getattr(confidence, name))) for name, *words in CHARTS] if confidence else [],
        "table": [(clean(row.label), row, thresholds.get(row.label)) for row in shown],
        "thresholds": bool(thresholds),
        "left_out": len(table) - len(shown),
    }


def view_confusions(report: ReportView) -> dict[str, object] | None:
    """The values of templates/confusions.html; None without labels, and where photos may have several."""
    rows = report.rows
    if not rows.labelled or report.content.multi_label:
        return None
    pairs = sorted(((c, k) for k, c in rows.cells.items() if k[0] != k[1]), key=lambda pair: (-pair[0], pair[1]))
    support = {name: sum(c for (label, _), c in rows.cells.items() if label == name) for name in rows.names}
    return {
        "names": rows.in_order,
        "matrix": build_matrix(rows, support) if len(rows.names) <= MOST_NAMES else None,
        "level": len(rows.names) <= LEVEL_NAMES and all(len(name) <= LEVEL_LETTERS for name in rows.names),
        "support": support,
        "strips": [
            (label, predicted, count, _examples(rows, label, predicted))
            for count, (label, predicted) in pairs[:MOST_STRIPS]
            if count > 1
        ],
        "pairs": [(label, predicted, count) for count, (label, predicted) in pairs[:MOST_PAIRS]],
        "more_pairs": max(0, len(pairs) - MOST_PAIRS),
    }


def _examples(rows: Rows, label: str, predicted: str) -> list[Row]:
    """The surest of the pictures with this label that were taken for another class."""
    return [row for row in rows.mistakes if (row.label, row.predicted) == (label, predicted)][:ON_STRIP]


def draw_curves(curves: Mapping[str, Curve]) -> list[tuple[str, str]]:
    """The name of each class with its curve as points of a chart, unless there are too many to tell apart."""
    if len(curves) > MOST_CURVES:
        return []
    drawn = []
    for name in sorted(curves, key=natural_order):
        points = list(zip(curves[name].x, curves[name].y, strict=True))
        kept = points[:: max(1, len(points) // CURVE_POINTS)] + points[-1:]
        drawn.append((clean(name), " ".join(f"{SIDE * x:.1f},{SIDE * (1 - y):.1f}" for x, y in kept)))
    return drawn


def build_matrix(rows: Rows, support: dict[str, int]) -> list[list[dict[str, object]]]:
    """One row per label, one cell per predicted class, in the order that people count in.

    `shade` 0 … SHADES is the share of the label's pictures.
    """

    def cell(label: str, predicted: str) -> dict[str, object]:
        count = rows.cells[label, predicted]
        shade = ceil(SHADES * count / max(1, support[label]))
        return {"label": label, "predicted": predicted, "count": count, "shade": shade}

    return [[cell(label, predicted) for predicted in rows.in_order] for label in rows.in_order]
