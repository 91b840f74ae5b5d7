"""Two runs compared as one page that holds its pictures: what the second fixed, what it broke, what both have wrong."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from pcn_cli.records.evaluation import Comparison, Difference, Flip
from pcn_cli.report.format import HERE, MINUS, clean, new_environment, number, percent
from pcn_cli.report.page import hash_of

_STYLES = ("base", "tables", "gallery", "overview", "health", "compare", "print")
_REST = "base-uri 'none'; form-action 'none'"
SECTIONS = (
    ("second", "Fixed by B", "A was wrong here, and B is right."),
    ("first", "Broken by B", "A was right here, and B is wrong."),
    ("", "Wrong in both, in another way", "Neither gives the label."),
)


@dataclass(frozen=True, kw_only=True)
class FlipPictures:
    """A photo that is answered differently, with the map of each run over it as WebP, where it can be opened."""

    flip: Flip
    first: bytes | None = None
    second: bytes | None = None


def render_comparison(comparison: Comparison, shown: Sequence[FlipPictures]) -> str:
    """The whole page; of photos that are not `shown` only the number stands there."""
    style = "".join((HERE / "static" / f"{name}.css").read_text(encoding="utf-8") for name in _STYLES)
    sections = [
        {
            "title": title,
            "words": words,
            "count": sum(flip.right == right for flip in comparison.flips),
            "flips": [_card(one) for one in shown if one.flip.right == right],
        }
        for right, title, words in SECTIONS
    ]
    page = (
        new_environment()
        .get_template("compare.html")
        .render(
            names=[clean(Path(run).name) for run in (comparison.first, comparison.second)],
            comparison=comparison,
            rows=[_row(one) for one in comparison.differences],
            sections=sections,
            policy=f"default-src 'none'; style-src {hash_of(style)}; img-src data:; {_REST}",
            style=Markup(style),  # noqa: S704 - our own files, free of markup
        )
    )
    return clean(page)


def _card(one: FlipPictures) -> dict[str, object]:
    flip = one.flip
    sides = (("A", flip.first, one.first), ("B", flip.second, one.second))
    return {
        "file": clean(flip.file),
        "label": clean(flip.label),
        "sides": [
            {"run": run, "said": clean(said), "right": said == flip.label, "picture": _data(picture)}
            for run, said, picture in sides
        ],
    }


def _data(picture: bytes | None) -> str:
    return "" if picture is None else f"data:image/webp;base64,{base64.b64encode(picture).decode('ascii')}"


def _row(one: Difference) -> dict[str, str]:
    """A figure of both runs, and how much more the second has, in its unit."""
    found = one.difference
    share = found.words.unit == "share"

    def signed(value: float) -> str:
        shown = number(100 * value, 1) if share else number(value)
        return shown if shown.startswith(MINUS) else f"+{shown}"

    ends = [signed(end) for end in (found.ci_low, found.ci_high) if end is not None]
    values = [percent(value) if share else number(value) for value in (one.first, one.second)]
    return {
        "title": one.title,
        "first": values[0],
        "second": values[1],
        "difference": signed(found.value) + (" points" if share else ""),
        "interval": " to ".join(ends),
    }
