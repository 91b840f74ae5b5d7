import base64

import numpy as np
import pytest

from pcn_cli.records.predictions import FULL_LIFT
from pcn_cli.report.encoded_maps import (
    MeanMaps,
    as_text,
    curves_as_text,
    decode_lift,
    encode_look,
    encode_signed,
    magnitude_bins,
    new_lift_scale,
    new_signed_scale,
)


def decode_signed(top, bytes_):
    """The values that the page reads from the bytes, by the arithmetic of static/signed.js."""
    return bytes_.astype(np.float64) * top / 127


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
    scale = new_lift_scale()
    assert scale.top == FULL_LIFT
    scale.add(encode_look(np.ones((10, 10))))
    assert scale.top == FULL_LIFT
    peak = np.full((10, 10), 1e-3)
    peak[0, :5] = 1
    scale.add(encode_look(peak))
    assert scale.top == pytest.approx(peak.max() / peak.mean(), rel=0.02)


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
    scale = new_signed_scale()
    for one in maps:
        scale.add(magnitude_bins(one))
    exact = np.quantile(np.abs(maps), 0.995)
    assert exact <= scale.top <= 1.06 * exact
    assert new_signed_scale().top == 1


def test_the_mean_map_is_the_mean_of_the_lifts():
    looks = np.random.default_rng(0).gamma(1, 1, (5, 3, 4))
    maps = MeanMaps()
    for look in looks:
        maps.add("oak", encode_look(look))
    oak, none = maps.plain(("oak", "elm"))
    assert none is None
    assert (oak["grid"], oak["of"]) == ((3, 4), 5)
    lifts = [look * look.size / look.sum() for look in looks]
    shown = decode_lift(np.frombuffer(base64.b64decode(oak["map"]), dtype=np.uint8)).reshape(3, 4)
    assert shown == pytest.approx(np.mean(lifts, axis=0), rel=0.08)
