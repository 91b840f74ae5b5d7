from dataclasses import replace

import numpy as np

from pcn_cli.report.rows import build_rows
from pcn_cli.report.spreads import BINS, find_spreads


def test_a_spread_counts_every_picture_between_the_smallest_and_the_largest(invent):
    rows = build_rows(invent(40))
    spreads = find_spreads(rows)
    low, high, counts = spreads["confidence"]
    confidences = [row.confidence for row in rows.all]
    assert np.allclose([low, high], [min(confidences), max(confidences)], atol=1e-5)
    assert (len(counts), sum(counts)) == (BINS, 40)


def test_what_is_the_same_for_all_has_no_spread(invent):
    assert "mass50" not in find_spreads(build_rows(invent(5)))


def test_numbers_that_differ_only_by_the_rounding_of_the_machine_have_no_spread(invent):
    rows = build_rows(invent(2))
    near = tuple(replace(row, confidence=np.nextafter(0.5, row.number)) for row in rows.all)
    assert "confidence" not in find_spreads(replace(rows, all=near))
