"""Map: every photo as a point, alike ones together; points are picked with a lasso and looked at in the gallery."""

from collections import Counter

from pcn_cli.records.photos import PARTS, natural_order
from pcn_cli.records.predictions import PhotoPlace
from pcn_cli.report.format import clean
from pcn_cli.report.view_model import ReportView

STEPS = 2000  # of a place along each side, which is finer than a screen
MOST_NAMES = 12  # classes that can be told apart by colour


def view_map(report: ReportView) -> dict[str, object] | None:
    """The values of templates/places.html; None where no places are known."""
    places = report.content.artifacts.rows(PhotoPlace)
    if len(places) < 3:
        return None
    counts = Counter(clean(place.label) for place in places)
    parts = Counter(place.split for place in places)
    return {
        "count": len(places),
        "names": sorted(counts, key=natural_order),
        "coloured": {name: n for n, (name, _) in enumerate(counts.most_common(MOST_NAMES))},
        "parts": [part for part in PARTS if parts[part]],
        "measured": sum(parts[part] for part in PARTS if part == report.content.part),
    }


def map_data(report: ReportView) -> dict[str, object] | None:
    """The points as columns: place in steps, label among `labels`, part among `parts`, row or −1, name."""
    places = report.content.artifacts.rows(PhotoPlace)
    if len(places) < 3:
        return None
    rows = {row.prediction.file: row.number for row in report.rows.all}
    names = sorted({clean(place.label) for place in places}, key=natural_order)
    index, parts = {name: number for number, name in enumerate(names)}, {str(part): n for n, part in enumerate(PARTS)}
    return {
        "labels": names,
        "parts": PARTS,
        "x": [round(STEPS * place.x) for place in places],
        "y": [round(STEPS * place.y) for place in places],
        "label": [index[clean(place.label)] for place in places],
        "part": [parts.get(place.split, 0) for place in places],
        "row": [rows.get(place.file, -1) for place in places],
        "file": [clean(place.file) for place in places],
    }
