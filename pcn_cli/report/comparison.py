"""Two runs compared as one page that holds its pictures: what the second fixed, what it broke, what both have wrong."""

import base64
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pcn_cli.records.evaluation import Comparison, Difference, Flip
from pcn_cli.report.format import MINUS, clean, number, percent
from pcn_cli.report.page import render_alone

_STYLES = ("base", "tables", "gallery", "overview", "health", "compare", "print")
_SCRIPTS = ("theme",)
KINDS = {"fixed": "Fixed", "broken": "Broken", "differ": "Wrong in another way", "still": "Wrong as before"}


@dataclass(frozen=True, kw_only=True)
class Side:
    """What one run makes of a photo: with its map, as WebP, where it can be opened, and the address in its report."""

    picture: bytes | None = None
    link: str = ""


@dataclass(frozen=True, kw_only=True)
class FlipPictures:
    """A photo that at least one of the runs has wrong, with the map of each over it."""

    flip: Flip
    first: Side = Side()
    second: Side = Side()


def kind_of(flip: Flip) -> str:
    """Whether B fixed a photo, broke it, takes it for another wrong class than A, or for the same."""
    if flip.first == flip.second:
        return "still"
    return {"second": "fixed", "first": "broken"}.get(flip.right, "differ")


def render_comparison(
    comparison: Comparison,
    shown: Sequence[FlipPictures],
    *,
    names: Sequence[str],
    reports: Sequence[str] = ("", ""),
    evenly: Sequence[str] = (),
) -> str:
    """The whole page; of photos that are not `shown` only the number stands there.

    `names` are those of the runs, `reports` the addresses of their reports ("" where there is none); of runs named in
    `evenly`, which look everywhere alike, the pictures show what speaks for the answer.
    """
    first, second = map(clean, names)
    counts = Counter(map(kind_of, (*comparison.flips, *comparison.still_wrong)))
    titles = {
        "fixed": (f"Fixed by {second}", f"{first} has them wrong, {second} right."),
        "broken": (f"Broken by {second}", f"{first} has them right, {second} wrong."),
        "differ": ("Still wrong, in another way", "Neither gives the label, and they disagree."),
        "still": (
            "Still wrong, in the same way",
            "Both give the same wrong answer. Such photos are hard, or their label is.",
        ),
    }
    sections = [
        {
            "kind": kind,
            "short": short,
            "title": titles[kind][0],
            "words": titles[kind][1],
            "count": counts[kind],
            "flips": [_card(one, (first, second)) for one in shown if kind_of(one.flip) == kind],
        }
        for kind, short in KINDS.items()
    ]
    return render_alone(
        "compare.html",
        styles=_STYLES,
        scripts=_SCRIPTS,
        runs=[
            {"word": word, "name": name, "report": report}
            for word, name, report in zip("AB", (first, second), reports, strict=True)
        ],
        comparison=comparison,
        rows=[_row(one) for one in comparison.differences],
        sections=sections,
        maps=any(one.first.picture for one in shown),
        evenly=list(map(clean, evenly)),
    )


def _card(one: FlipPictures, names: tuple[str, str]) -> dict[str, object]:
    flip = one.flip
    sides = (("A", names[0], flip.first, one.first), ("B", names[1], flip.second, one.second))
    return {
        "file": clean(flip.file),
        "label": clean(flip.label),
        "sides": [
            {
                "word": word,
                "run": run,
                "said": clean(said),
                "right": said == flip.label,
                "picture": _data(side.picture),
                "link": side.link,
            }
            for word, run, said, side in sides
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
