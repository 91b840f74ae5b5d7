"""How the numbers of a report's pictures are spread, so that the page can show one of them among all."""

from collections.abc import Iterable

import numpy as np

from pcn_cli.records.codec import field_names
from pcn_cli.records.predictions import AttentionNumbers
from pcn_cli.report.rows import Rows

BINS = 32
DIGITS = 5
SHOWN = ("image_share", "effective_patches", "gini", "mass50", "mass80", "border_share")


def find_spreads(rows: Rows) -> dict[str, object]:
    """By the number's name: the smallest, the largest, and how many pictures lie in each of `BINS` even steps."""
    columns: dict[str, Iterable[float]] = {"confidence": [row.confidence for row in rows.all]}
    for name in set(field_names(AttentionNumbers)) & set(SHOWN):
        columns[name] = [getattr(row.attention, name) for row in rows.all]
    columns["srg"] = [row.hiding.srg for row in rows.all if row.hiding]
    spreads = {name: _spread(values) for name, values in columns.items()}
    return {name: spread for name, spread in sorted(spreads.items()) if spread is not None}


def _spread(values: Iterable[float]) -> list[object] | None:
    """None where all pictures have the same number as far as the page shows it, or none has one."""
    known = np.fromiter(values, dtype=np.float64)
    known = known[np.isfinite(known)].round(DIGITS)
    if known.size == 0 or known.min() == known.max():
        return None
    counts, edges = np.histogram(known, BINS)
    return [round(float(edges[0]), DIGITS), round(float(edges[-1]), DIGITS), counts.tolist()]
