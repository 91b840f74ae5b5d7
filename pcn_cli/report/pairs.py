"""Photos that belong together as pairs of pictures: leaks first, then one picture under two labels, then copies."""

from collections.abc import Iterator
from dataclasses import dataclass

from pcn_cli.records.photos import Tie
from pcn_cli.report.content import ScanFacts

MOST_PAIRS = 24  # of each kind: more pictures are a list that nobody reads


@dataclass(frozen=True, kw_only=True)
class PairList:
    """One kind of pair with what it means: those that are shown, and how many there are."""

    name: str
    title: str
    words: str
    ties: tuple[Tie, ...]
    count: int


def list_pairs(scan: ScanFacts | None) -> tuple[PairList, ...]:
    """The kinds of pairs that were found, the gravest first; no pair stands in two of them."""
    if scan is None:
        return ()
    told: set[frozenset[str]] = set()
    lists = []
    for name, title, words, ties in (
        (
            "leaks",
            "In two parts",
            "Pictures that taught or chose the model measure it as well, which flatters every figure.",
            scan.leaks,
        ),
        ("conflicts", "One picture, two labels", "At least one of the two labels is wrong.", scan.conflicts),
        ("copies", "The same picture twice", "Both stand in one part, so no figure is flattered.", scan.copies),
    ):
        new = tuple(tie for tie in ties if frozenset((tie.file, tie.other)) not in told)
        told |= {frozenset((tie.file, tie.other)) for tie in new}
        if new:
            lists.append(PairList(name=name, title=title, words=words, ties=new[:MOST_PAIRS], count=len(new)))
    return tuple(lists)


def files_of(lists: tuple[PairList, ...]) -> Iterator[str]:
    """Every file that some pair shows, once."""
    yield from dict.fromkeys(file for kind in lists for tie in kind.ties for file in (tie.file, tie.other))
