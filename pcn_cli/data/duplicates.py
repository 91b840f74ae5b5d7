"""Photos that are the same file twice, told by their content hash."""

from collections import defaultdict
from collections.abc import Iterable

from pcn_cli.records.photos import Photo


def find_duplicates(photos: Iterable[Photo]) -> tuple[tuple[Photo, ...], ...]:
    """Groups of two or more photos with equal bytes; in the order of their first member, members in given order."""
    groups: defaultdict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        groups[photo.sha256].append(photo)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)
