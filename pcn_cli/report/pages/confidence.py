"""Confidence: whether "80 % sure" is right four times in five, what answering less gains, and sets of classes."""

from collections import Counter
from math import floor

from pcn_cli.records.evaluation import Bin
from pcn_cli.records.metrics import Metric
from pcn_cli.report.view_model import ReportView

SIDE = 300  # of a chart, in its own units
WIDE, HIGH, STEPS = 720, 150, 40  # of the histogram, and its columns


def view_confidence(report: ReportView) -> dict[str, object] | None:
    """The values of templates/confidence.html; None where nothing was measured, or photos may have several labels."""
    curves, metrics = report.content.confidence, report.content.metrics
    if curves is None or curves.coverage is None:
        return None
    charts = [_reliability("With the temperature", curves.after, metrics.get("ece"))]
    if curves.temperature != 1:
        charts.insert(0, _reliability("Without it", curves.before, metrics.get("ece_untempered")))
    points = list(zip(curves.coverage.x, curves.coverage.y, strict=True))
    lowest = min(floor(10 * min(curves.coverage.y)) / 10, 0.9)
    span = max(1 - lowest, 0.1)
    # About ten points for a table, from all answered to few.
    steps = [min(points, key=lambda point: abs(point[0] - tenth / 10)) for tenth in range(10, 0, -1)]
    # The metrics of a level's sets are None where there were not enough photos.
    parts, sets = ("coverage", "set_size", "empty"), []
    for level in curves.conformal:
        found = {part: metrics.get(f"conformal_{100 * level.level:.0f}_{part}") for part in parts}
        sets.append({"level": level, **found})
    return {
        "temperature": curves.temperature,
        "calibration": curves.calibration,
        "selection": curves.selection,
        "charts": charts,
        "metrics": metrics,
        "side": SIDE,
        "wide": WIDE,
        "high": HIGH,
        "histogram": _histogram(report),
        "lowest": lowest,
        "line": " ".join(f"{SIDE * x:.1f},{SIDE * (1 - y) / span:.1f}" for x, y in points),
        "steps": list(dict.fromkeys(steps)),
        "sets": sets,
    }


def _histogram(report: ReportView) -> list[tuple[float, float, float, float]]:
    """For each step of confidence that has pictures: x, width, and the heights of the right and of the wrong ones."""
    counts = Counter(
        (min(STEPS - 1, int(STEPS * row.prediction.confidence)), row.correct)
        for row in report.rows.all
        if row.correct is not None
    )
    most = max((counts[step, True] + counts[step, False] for step in range(STEPS)), default=0)
    width = WIDE / STEPS
    return [
        (width * step + 1, width - 2, HIGH * counts[step, True] / most, HIGH * counts[step, False] / most)
        for step in range(STEPS)
        if counts[step, True] + counts[step, False]
    ]


def _reliability(title: str, bins: tuple[Bin, ...], error: Metric | None) -> dict[str, object]:
    """One chart: its heading, the calibration error, the bins, their places (x, y, radius) and intervals (x, y, y)."""
    most = max(one.photos for one in bins)
    places = [
        (round(SIDE * x, 1), _height(y), round(3 + 3 * (photos / most) ** 0.5, 1))
        for x, y, photos in ((one.confidence, one.accuracy, one.photos) for one in bins)
    ]
    spans = [
        (round(SIDE * one.confidence, 1), _height(one.ci_high), _height(one.ci_low))
        for one in bins
        if one.ci_low is not None and one.ci_high is not None
    ]
    return {"title": title, "error": error, "bins": bins, "places": places, "spans": spans}


def _height(share: float) -> float:
    """Where a share of 0 … 1 stands in a chart."""
    return round(SIDE * (1 - share), 1)
