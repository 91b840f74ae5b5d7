import base64

import numpy as np
import pytest

from pcn_cli.report.classmaps import MeanMaps
from pcn_cli.report.lookmaps import decode_lift, encode_look


def test_the_mean_map_is_the_mean_of_the_lifts():
    looks = np.random.default_rng(0).gamma(1, 1, (5, 3, 4))
    maps = MeanMaps()
    for look in looks:
        maps.add("oak", encode_look(look))
    oak, none = maps.plain(("oak", "elm"))
    assert none is None
    assert (oak["grid"], oak["of"]) == ([3, 4], 5)
    lifts = [look * look.size / look.sum() for look in looks]
    shown = decode_lift(np.frombuffer(base64.b64decode(oak["map"]), dtype=np.uint8)).reshape(3, 4)
    assert shown == pytest.approx(np.mean(lifts, axis=0), rel=0.08)


def test_a_map_of_another_shape_is_left_out():
    maps = MeanMaps()
    maps.add("oak", encode_look(np.ones((2, 2))))
    maps.add("oak", encode_look(np.ones((3, 2))))
    assert maps.plain(("oak",))[0]["of"] == 1
