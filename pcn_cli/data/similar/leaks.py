"""Photos that belong together and stand apart: in two parts, which flatters every figure, or under two labels."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal

from pcn_cli.records.photos import PARTS, Photo, SplitRow, Tie, TieKind


def tied_files(
    photos: Iterable[Photo | SplitRow], near_duplicates: Iterable[Sequence[str]]
) -> list[tuple[TieKind, tuple[str, ...]]]:
    """Sets of two or more files that belong together, the surest kind first."""
    copies: defaultdict[str, list[str]] = defaultdict(list)
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for photo in photos:
        copies[photo.sha256].append(photo.file)
        if photo.group:
            groups[photo.group].append(photo.file)
    sets: dict[TieKind, Iterable[Sequence[str]]] = {
        "exact": copies.values(),
        "near": near_duplicates,
        "group": groups.values(),
    }
    return [(kind, tuple(files)) for kind, several in sets.items() for files in several if len(files) > 1]


def find_ties(
    rows: Sequence[SplitRow], near_duplicates: Iterable[Sequence[str]], *, differ: Literal["split", "label", "file"]
) -> tuple[Tie, ...]:
    """Each photo that belongs with one of an earlier part and differs from it, with that photo; ordered by file.

    Photos that `differ` in the split are leaks, in the label conflicts, in the file alone copies; for the last two
    groups are left aside. A photo is named once, with its surest tie.
    """
    by_file = {row.file: row for row in rows}
    found: dict[str, Tie] = {}
    for kind, files in tied_files(rows, near_duplicates):
        members = sorted((by_file[file] for file in files if file in by_file), key=lambda row: PARTS.index(row.split))
        # The photos of a group may well have several labels, and they are several pictures.
        if not members or (kind == "group" and differ != "split"):
            continue
        first, *others = members
        for row in others:
            if getattr(row, differ) != getattr(first, differ) and row.file not in found:
                found[row.file] = Tie.between(kind, row, first)
    return tuple(found[file] for file in sorted(found))
