"""Names that a chart can show: what the fonts of this machine cannot draw becomes an empty box, nothing is hidden."""

import unicodedata
from functools import cache

from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font

_PREFERRED = ("DejaVu Sans", "Noto Sans", "Noto Sans CJK JP", "Hiragino Sans", "Microsoft YaHei", "Arial Unicode MS")
FONTS = tuple(family for family in _PREFERRED if family in {font.name for font in fontManager.ttflist})
MISSING = "▯"


def show_name(name: str, *, longest: int) -> str:
    """`name` in at most `longest` characters, cut in the middle, on one line."""
    shown = "".join(_show_character(c) for c in unicodedata.normalize("NFC", name))
    if len(shown) <= longest:
        return shown
    tail = (longest - 1) // 3
    return f"{shown[: longest - 1 - tail]}…{shown[-tail:]}"


def _show_character(character: str) -> str:
    kind = unicodedata.category(character)
    if kind.startswith("Z"):
        return " "
    # Control, invisible and turning (bidirectional) characters, halves of pairs, private and unassigned ones.
    return character if kind[0] != "C" and ord(character) in _drawable() else MISSING


@cache
def _drawable() -> frozenset[int]:
    return frozenset().union(*(get_font(findfont(FontProperties(family=family))).get_charmap() for family in FONTS))
