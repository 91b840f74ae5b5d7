import base64

import numpy as np
import pytest

from pcn_cli.report.lookmaps import FULL_LIFT, ScaleTop, as_text, decode_lift, encode_look


def test_lift_comes_back_within_two_percent():
    look = np.random.default_rng(0).gamma(1, 1, (14, 9))
    lift = look / look.mean()
    back = decode_lift(encode_look(look))
    seen = lift >= 1 / 16
    assert np.abs(back[seen] / lift[seen] - 1).max() < 0.02
    assert (back[~seen] == 0).all()


def test_the_largest_lift_fits_and_zero_stays_zero():
    look = np.zeros((32, 32))
    look[3, 4] = 1
    back = decode_lift(encode_look(look))
    assert back[3, 4] == pytest.approx(1024)
    assert back.sum() == back[3, 4]


def test_a_map_of_zeros_is_an_even_spread():
    assert decode_lift(encode_look(np.zeros((2, 2)))) == pytest.approx(1, rel=0.02)


@pytest.mark.parametrize("look", [np.ones(4), np.ones((0, 3)), np.array([[1, -1]]), np.array([[1, np.nan]])])
def test_what_is_no_map_is_refused(look):
    with pytest.raises(ValueError, match="expected a grid"):
        encode_look(look)


def test_the_text_holds_one_byte_per_patch_row_by_row():
    bytes_ = encode_look(np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))
    assert base64.b64decode(as_text(bytes_)) == bytes(bytes_.ravel().tolist())


def test_the_scale_reaches_the_highest_lifts_of_a_report_and_never_less_than_8():
    top = ScaleTop()
    assert top.value == FULL_LIFT
    top.add(encode_look(np.ones((10, 10))))
    assert top.value == FULL_LIFT
    peak = np.full((10, 10), 1e-3)
    peak[0, :5] = 1
    top.add(encode_look(peak))
    assert top.value == pytest.approx(peak.max() / peak.mean(), rel=0.02)
