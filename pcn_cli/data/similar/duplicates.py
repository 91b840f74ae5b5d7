"""Photos that are one picture twice: by their content hash, or by their sketches where the bytes differ."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from pcn_cli.data.similar.near_duplicates import group_near
from pcn_cli.data.similar.sketch import read_sketches
from pcn_cli.records.photos import Photo

Item = TypeVar("Item")

ALIKE_SHARE = 0.25  # of all pictures: a larger set of "copies" is a kind of picture, such as a fixture or a digit
ALIKE_FROM = 20


def find_duplicates(photos: Iterable[Photo]) -> tuple[tuple[Photo, ...], ...]:
    """Groups of two or more photos with equal bytes; in the order of their first member, members in given order."""
    return _groups_of((photo.sha256, photo) for photo in photos)


def find_near_duplicates(
    photos: Sequence[Photo],
    sketches: Mapping[str, str],
    *,
    on_compared: Callable[[int, int], None] | None = None,
) -> tuple[tuple[tuple[str, ...], ...], int]:
    """Sets of files that show one picture in different bytes, and how many photos were too alike to be told apart.

    Args:
        photos: in order.
        sketches: the sketch of each photo in base64, by file.
        on_compared: called with (done, total) pictures.
    """
    copies: defaultdict[str, list[str]] = defaultdict(list)
    for photo in photos:
        copies[photo.sha256].append(photo.file)
    pictures = list(copies.values())
    numbers = group_near(read_sketches([sketches[files[0]] for files in pictures]), on_compared=on_compared)
    sets = _groups_of(zip(numbers.tolist(), pictures, strict=True))
    most = max(ALIKE_FROM, ALIKE_SHARE * len(pictures))
    told = (tuple(sorted(file for files in group for file in files)) for group in sets if len(group) <= most)
    return tuple(sorted(told)), int(np.sum([len(group) for group in sets if len(group) > most], dtype=int))


def _groups_of(pairs: Iterable[tuple[Hashable, Item]]) -> tuple[tuple[Item, ...], ...]:
    groups: defaultdict[Hashable, list[Item]] = defaultdict(list)
    for key, item in pairs:
        groups[key].append(item)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)
