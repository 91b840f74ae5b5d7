"""Groups of decisions that are alike sure."""

import numpy as np
import pytest

from pcn_cli.metrics.intervals import wilson
from pcn_cli.metrics.reliability import expected_calibration_error, reliability


def test_bins_hold_equally_many_photos_and_their_error_is_what_lies_between() -> None:
    confidences = np.linspace(0.4, 1, 100)
    right = np.arange(100) % 2 == 0

    bins = reliability(confidences, right)

    assert len(bins) == 15
    assert {one.photos for one in bins} == {6, 7}
    assert sum(one.photos for one in bins) == 100
    by_hand = sum(one.photos * abs(one.confidence - one.accuracy) for one in bins) / 100
    assert expected_calibration_error(bins) == pytest.approx(by_hand)
    assert len(reliability(confidences[:3], right[:3])) == 3


def test_a_bin_has_the_interval_of_its_share() -> None:
    (found,) = reliability(np.full(20, 0.8), np.arange(20) < 14, least=20)
    assert found.accuracy == pytest.approx(0.7)
    assert (found.ci_low, found.ci_high) == wilson(14, 20)
