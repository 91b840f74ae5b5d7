"""Photos that belong together and stand apart: in two parts, which flatters every figure, or under two labels."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal

from pcn_cli.records.photos import PARTS, Photo, SplitRow, Tie

Kind = Literal["exact", "near", "group"]
KINDS: tuple[Kind, ...] = ("exact", "near", "group")  # the surest first
COPIES: tuple[Kind, ...] = ("exact", "near")


def tied_files(
    photos: Iterable[Photo | SplitRow], near_duplicates: Iterable[Sequence[str]]
) -> dict[tuple[Kind, str], tuple[str, ...]]:
    """Sets of two or more files that belong together, by kind and by what they share."""
    members: defaultdict[tuple[Kind, str], list[str]] = defaultdict(list)
    for photo in photos:
        members["exact", photo.sha256].append(photo.file)
        if photo.group:
            members["group", photo.group].append(photo.file)
    for files in near_duplicates:
        members["near", files[0]].extend(files)
    return {key: tuple(files) for key, files in members.items() if len(files) > 1}


def find_leaks(rows: Sequence[SplitRow], near_duplicates: Iterable[Sequence[str]]) -> tuple[Tie, ...]:
    """Each validation or test photo that belongs with a photo of an earlier part, with that photo; ordered by file.

    A photo is named once, with its surest tie.
    """
    return _find(rows, near_duplicates, KINDS, lambda row, first: row.split != first.split)


def find_conflicts(rows: Sequence[SplitRow], near_duplicates: Iterable[Sequence[str]]) -> tuple[Tie, ...]:
    """Each photo whose picture has another label elsewhere, with that photo; ordered by file, groups left aside."""
    return _find(rows, near_duplicates, COPIES, lambda row, first: row.label != first.label)


def find_copies(rows: Sequence[SplitRow], near_duplicates: Iterable[Sequence[str]]) -> tuple[Tie, ...]:
    """Each photo whose picture is there a second time, with the first of them; ordered by file, groups left aside."""
    return _find(rows, near_duplicates, COPIES, lambda row, first: row.file != first.file)


def _find(
    rows: Sequence[SplitRow],
    near_duplicates: Iterable[Sequence[str]],
    kinds: tuple[Kind, ...],
    counts: Callable[[SplitRow, SplitRow], bool],
) -> tuple[Tie, ...]:
    """Each photo that `counts` beside the first of its set, which stands in the earliest part."""
    by_file = {row.file: row for row in rows}
    found: dict[str, Tie] = {}
    for kind, files in _in_order(tied_files(rows, near_duplicates), kinds):
        members = sorted((by_file[file] for file in files if file in by_file), key=lambda row: PARTS.index(row.split))
        for row in members:
            if counts(row, members[0]) and row.file not in found:
                found[row.file] = _tie(kind, row, members[0])
    return tuple(found[file] for file in sorted(found))


def _in_order(
    tied: Mapping[tuple[Kind, str], tuple[str, ...]], kinds: tuple[Kind, ...]
) -> Iterator[tuple[Kind, tuple[str, ...]]]:
    for wanted in kinds:
        yield from ((kind, files) for (kind, _), files in tied.items() if kind == wanted)


def _tie(kind: Kind, row: SplitRow, other: SplitRow) -> Tie:
    return Tie(
        kind=kind,
        file=row.file,
        label=row.label,
        part=row.split,
        other=other.file,
        other_label=other.label,
        other_part=other.split,
    )
