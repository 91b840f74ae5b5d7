"""Data health: what the photos are like, which belong together and stand apart, which labels and files to look at."""

from dataclasses import dataclass

from pcn_cli.records.photos import Tie
from pcn_cli.report.format import clean, display_names, hide_paths
from pcn_cli.report.pages.page import Page
from pcn_cli.report.view_model import Draft

MOST_FILES = 200
MOST_CLASSES = 100
MOST_SUSPECTS = 50
KINDS = {"exact": "equal bytes", "near": "the same picture in other bytes", "group": "one group"}


@dataclass(frozen=True, kw_only=True)
class Side:
    """One photo of a pair; `picture` is a path in the report, "" where it could not be opened."""

    file: str
    label: str
    part: str
    picture: str


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two photos that belong together, and how that is known."""

    kind: str
    sides: tuple[Side, Side]


def view_health(draft: Draft) -> dict[str, object] | None:
    """The values of templates/health.html; None where nothing is known of the photos."""
    scan, missing, suspects = draft.content.scan, draft.without_picture, draft.content.suspects
    if scan is None and not missing and not suspects:
        return None
    unreadable = scan.unreadable if scan else ()
    shown = display_names([entry.file for entry in unreadable])
    parts = {name: {clean(k): n for k, n in counts.items()} for name, counts in (scan.parts if scan else {}).items()}
    totals: dict[str, int] = {}
    for counts in parts.values():
        for name, count in counts.items():
            totals[name] = totals.get(name, 0) + count
    names = sorted(totals, key=lambda name: (-totals[name], name))
    return {
        "parts": parts,
        "names": names[:MOST_CLASSES],
        "photos": {name: scan.count(name) for name in parts} if scan else {},
        "totals": totals,
        "imbalance": max(totals.values()) / min(totals.values()) if totals else 1.0,
        "more_names": max(0, len(names) - MOST_CLASSES),
        "pairs": [(kind, [_pair(tie, draft) for tie in kind.ties]) for kind in draft.pairs],
        "unreadable": [(f, hide_paths(e.reason)) for f, e in zip(shown, unreadable, strict=True)][:MOST_FILES],
        "unreadable_count": len(unreadable),
        "ignored": scan.ignored if scan else 0,
        "suspects": [
            (file, one.split, clean(one.label), clean(one.suggested), one.p_label, one.p_suggested)
            for file, one in zip(display_names([one.file for one in suspects]), suspects, strict=True)
        ][:MOST_SUSPECTS],
        "suspects_count": len(suspects),
        "missing": [row.file for row in missing[:MOST_FILES]],
        "missing_count": len(missing),
    }


def _pair(tie: Tie, draft: Draft) -> Pair:
    file, other = display_names([tie.file, tie.other])
    return Pair(
        kind=KINDS[tie.kind],
        sides=(
            Side(file=file, label=clean(tie.label), part=tie.part, picture=draft.seen.get(tie.file, "")),
            Side(file=other, label=clean(tie.other_label), part=tie.other_part, picture=draft.seen.get(tie.other, "")),
        ),
    )


HEALTH = Page(name="health", title="Data health", view=view_health)
