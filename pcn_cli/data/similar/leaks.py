"""Photos that belong together and stand apart: in two parts, which flatters every figure, or under two labels."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence

from pcn_cli.records.photos import PARTS, TIES, Photo, SplitRow, Tie, TieKind

COPIES = ("exact", "near")


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


def find_leaks(rows: Sequence[SplitRow], near_duplicates: Iterable[Sequence[str]]) -> tuple[Tie, ...]:
    """Each validation or test photo that belongs with a photo of an earlier part, with that photo; ordered by file.

    A photo is named once, with its surest tie.
    """
    return _find(rows, near_duplicates, TIES, lambda row, first: row.split != first.split)


def find_conflicts(rows: Sequence[SplitRow], near_duplicates: Iterable[Sequence[str]]) -> tuple[Tie, ...]:
    """Each photo whose picture has another label elsewhere, with that photo; ordered by file, groups left aside."""
    return _find(rows, near_duplicates, COPIES, lambda row, first: row.label != first.label)


def find_copies(rows: Sequence[SplitRow], near_duplicates: Iterable[Sequence[str]]) -> tuple[Tie, ...]:
    """Each photo whose picture is there a second time, with the first of them; ordered by file, groups left aside."""
    return _find(rows, near_duplicates, COPIES, lambda row, first: row.file != first.file)


def _find(
    rows: Sequence[SplitRow],
    near_duplicates: Iterable[Sequence[str]],
    kinds: Collection[str],
    counts: Callable[[SplitRow, SplitRow], bool],
) -> tuple[Tie, ...]:
    """Each photo that `counts` beside the first of its set, which stands in the earliest part."""
    by_file = {row.file: row for row in rows}
    found: dict[str, Tie] = {}
    for kind, files in tied_files(rows, near_duplicates):
        members = sorted((by_file[file] for file in files if file in by_file), key=lambda row: PARTS.index(row.split))
        for row in members if kind in kinds else ():
            first = members[0]
            if counts(row, first) and row.file not in found:
                found[row.file] = Tie(
                    kind=kind,
                    file=row.file,
                    label=row.label,
                    part=row.split,
                    other=first.file,
                    other_label=first.label,
                    other_part=first.split,
                )
    return tuple(found[file] for file in sorted(found))
