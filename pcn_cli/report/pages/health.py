"""Data health: what the photos are like, which belong together and stand apart, which labels and files to look at."""

from collections import Counter
from dataclasses import dataclass

from pcn_cli.records.photos import TIES, Tie
from pcn_cli.report.content import ScanFacts
from pcn_cli.report.format import clean, display_names, hide_paths
from pcn_cli.report.view_model import ReportView

MOST_FILES = 200
UNEVEN = 1.05  # times the smallest class; below that bars of all classes would be alike
MOST_CLASSES = 100
MOST_SUSPECTS = 50
MOST_PAIRS = 24  # of each kind: more pictures are a list that nobody reads
PAIRS = {  # the gravest first, by the field of ScanFacts
    "leaks": (
        "In two parts",
        "Pictures that taught or chose the model measure it as well, which flatters every figure.",
    ),
    "conflicts": ("One picture, two labels", "At least one of the two labels is wrong."),
    "copies": ("The same picture twice", "Both stand in one part, so no figure is flattered."),
}


@dataclass(frozen=True, kw_only=True)
class PairList:
    """One kind of pair with what it means: those that are shown, and how many there are."""

    name: str
    title: str
    words: str
    ties: tuple[Tie, ...]
    count: int


def view_health(report: ReportView) -> dict[str, object] | None:
    """The values of templates/health.html; None where nothing is known of the photos."""
    missing = [row.file for row in report.rows.all if row.number not in report.pictures]
    suspects = report.content.suspects
    if report.content.scan is None and not missing and not suspects:
        return None
    scan = report.content.scan or ScanFacts()
    shown = display_names([entry.file for entry in scan.unreadable])
    parts = {name: {clean(k): n for k, n in counts.items()} for name, counts in scan.parts.items()}
    totals: Counter[str] = Counter()
    for counts in parts.values():
        totals.update(counts)
    imbalance = max(totals.values()) / min(totals.values()) if totals else 1.0
    names = sorted(totals, key=lambda name: (-totals[name], name))
    return {
        "parts": parts,
        "names": names[:MOST_CLASSES],
        "photos": {name: scan.count(name) for name in parts},
        "totals": totals,
        "imbalance": imbalance,
        "uneven": imbalance >= UNEVEN,
        "more_names": max(0, len(names) - MOST_CLASSES),
        "pairs": [(kind, [_pair(tie, report) for tie in kind.ties]) for kind in list_pairs(scan)],
        "unreadable": [(f, hide_paths(e.reason)) for f, e in zip(shown, scan.unreadable, strict=True)][:MOST_FILES],
        "unreadable_count": len(scan.unreadable),
        "ignored": scan.ignored,
        "suspects": [
            (file, one.split, clean(one.label), clean(one.suggested), one.p_label, one.p_suggested)
            for file, one in zip(display_names([one.file for one in suspects]), suspects, strict=True)
        ][:MOST_SUSPECTS],
        "suspects_count": len(suspects),
        "on_desk": report.content.desk is not None,
        "missing": missing[:MOST_FILES],
        "missing_count": len(missing),
    }


def list_pairs(scan: ScanFacts | None) -> tuple[PairList, ...]:
    """The kinds of pairs that were found, the gravest first; no pair stands in two of them."""
    if scan is None:
        return ()
    listed: set[frozenset[str]] = set()
    lists = []
    for name, (title, words) in PAIRS.items():
        ties: tuple[Tie, ...] = getattr(scan, name)
        new = tuple(tie for tie in ties if frozenset((tie.file, tie.other)) not in listed)
        listed |= {frozenset((tie.file, tie.other)) for tie in new}
        if new:
            lists.append(PairList(name=name, title=title, words=words, ties=new[:MOST_PAIRS], count=len(new)))
    return tuple(lists)


def files_of(lists: tuple[PairList, ...]) -> list[str]:
    """Every file that some pair shows, once."""
    return list(dict.fromkeys(file for kind in lists for tie in kind.ties for file in (tie.file, tie.other)))


def _pair(tie: Tie, report: ReportView) -> dict[str, object]:
    """How two photos belong together, and of each what is shown; its picture is "" where it could not be opened."""
    photos = ((tie.file, tie.label, tie.part), (tie.other, tie.other_label, tie.other_part))
    return {
        "kind": TIES[tie.kind],
        "sides": [
            {"file": shown, "label": clean(label), "part": part, "picture": report.pair_pictures.get(file, "")}
            for shown, (file, label, part) in zip(display_names([tie.file, tie.other]), photos, strict=True)
        ],
    }
