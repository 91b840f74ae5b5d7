"""Data for the page as classic scripts: a page opened from disk may load scripts but may not fetch files.

Every chunk is one call, `pcnData("name", "…")`, whose second argument is JSON inside a string: a browser runs nothing
of it but JSON.parse. In a page that holds everything, the same JSON stands in blocks that no browser runs.
"""

import json
from typing import Any

_UNSAFE = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


def chunk(name: str, value: Any) -> bytes:  # noqa: ANN401 - whatever JSON can hold
    """The script file that hands `value` to the page under `name`.

    Raises:
        ValueError: a number is not finite.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # The outer string is pure ASCII, so that no encoding and no line separator can break out of it.
    return f"pcnData({_literal(name)},{_literal(text)});\n".encode("ascii")


def block(value: Any) -> str:  # noqa: ANN401 - whatever JSON can hold
    """The same as text between the tags of a script of type application/json, which it cannot end.

    Raises:
        ValueError: a number is not finite.
    """
    return json.dumps(value, allow_nan=False, separators=(",", ":")).translate(_UNSAFE)


def _literal(text: str) -> str:
    return json.dumps(text).translate(_UNSAFE)
