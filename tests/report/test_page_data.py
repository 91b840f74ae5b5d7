import json
import re
from dataclasses import replace

import numpy as np
import pytest

from pcn_cli.report.page_data import BINS, as_script, find_spreads

HOSTILE = [
    "</script><script>alert(1)</script>",
    "<!--",
    '");alert(1);("',
    "\\",
    "\u2028\u2029",
    "\udcff",
    "__proto__",
    "é",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_data_and_comes_back_whole(text):
    script = as_script("rows", {"file": [text]}).decode("ascii")
    assert not re.search(r"[<>&\u2028\u2029\n]", script[:-1])
    name, value = json.loads("[" + script.removeprefix("pcnData(").removesuffix(");\n") + "]")
    assert name == "rows"
    assert json.loads(value) == {"file": [text]}


def test_numbers_that_json_has_no_word_for_are_refused():
    with pytest.raises(ValueError, match="JSON"):
        as_script("rows", [float("nan")])


def test_a_spread_counts_every_picture_between_the_smallest_and_the_largest(invent):
    predictions = invent(40).predictions
    low, high, counts = find_spreads(predictions)["confidence"]
    confidences = [one.confidence for one in predictions]
    assert np.allclose([low, high], [min(confidences), max(confidences)], atol=1e-5)
    assert (len(counts), sum(counts)) == (BINS, 40)


def test_what_is_the_same_for_all_has_no_spread(invent):
    assert "mass50" not in find_spreads(invent(5).predictions)


def test_numbers_that_differ_only_by_the_rounding_of_the_machine_have_no_spread(invent):
    near = [replace(one, confidence=np.nextafter(0.5, n)) for n, one in enumerate(invent(2).predictions)]
    assert "confidence" not in find_spreads(near)
