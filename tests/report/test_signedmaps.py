import base64

import numpy as np
import pytest

from pcn_cli.report.signedmaps import SignedTop, curves_as_text, decode_signed, encode_signed


def test_a_signed_map_comes_back_within_half_a_step_of_its_largest_value():
    values = np.random.default_rng(0).normal(0, 0.3, (14, 14))
    top, bytes_ = encode_signed(values)
    assert bytes_.nbytes == 196
    assert np.abs(decode_signed(top, bytes_) - values).max() <= 0.51 * np.abs(values).max() / 127
    assert (np.sign(decode_signed(top, bytes_)) * values >= 0).all()


def test_a_level_map_is_all_zero():
    assert encode_signed(np.zeros((2, 3)))[0] == 0
    assert not encode_signed(np.zeros((2, 3)))[1].any()


@pytest.mark.parametrize("values", [np.zeros(3), np.zeros((0, 2)), np.full((2, 2), np.nan)])
def test_what_is_no_finite_grid_is_refused(values):
    with pytest.raises(ValueError, match="expected a grid of finite values"):
        encode_signed(values)


def test_curves_take_two_bytes_a_point():
    deletion, insertion = np.linspace(1, 0, 21), np.linspace(0, 1, 21)
    read = np.frombuffer(base64.b64decode(curves_as_text(deletion, insertion)), dtype="<u2") / 65535
    assert np.abs(read - np.concatenate([deletion, insertion])).max() < 1e-4


def test_the_common_scale_is_close_to_the_percentile_of_all_patches():
    maps = np.random.default_rng(1).normal(0, 0.3, (50, 14, 14))
    top = SignedTop()
    for one in maps:
        top.add(one)
    exact = np.quantile(np.abs(maps), 0.995)
    assert exact <= top.value <= 1.06 * exact
    assert SignedTop().value == 1
