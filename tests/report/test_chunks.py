import json
import re

import pytest

from pcn_cli.report.chunks import chunk

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
    script = chunk("rows", {"file": [text]}).decode("ascii")
    assert not re.search(r"[<>&\u2028\u2029\n]", script[:-1])
    name, value = json.loads("[" + script.removeprefix("pcnData(").removesuffix(");\n") + "]")
    assert name == "rows"
    assert json.loads(value) == {"file": [text]}


def test_numbers_that_json_has_no_word_for_are_refused():
    with pytest.raises(ValueError, match="JSON"):
        chunk("rows", [float("nan")])
