"""Who trains, who selects, who is only ever measured: a stratified split that keeps duplicates and groups together.

The order within a class comes from hashes of the seed and the photos' content, so it depends neither on file names nor
on the other classes, and a photo added later moves few others.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcn_cli.data.similar.duplicates import join_groups
from pcn_cli.data.similar.leaks import tied_files
from pcn_cli.errors import DataError
from pcn_cli.files.atomic import sha256_of
from pcn_cli.records.photos import PARTS, Part, Photo, Scan, SplitRow


def split_scan(
    scan: Scan, *, seed: int, val: float, test: float, known: Mapping[str, Part] | None = None
) -> tuple[SplitRow, ...]:
    """Each photo with its part, ordered by file.

    Exact and near duplicates and groups are never divided. Every class with two groups (photos, or sets of photos that
    belong together) has one outside the training part, every class with three is in all parts, and one group is trained
    on. Where photos have several labels each is dealt out by its rarest one, so that this holds for rare labels, which
    chance would serve worst.

    Where a folder or a table already names parts, they stay as they are. Photos without a part train; a part that
    nobody names is taken from the photos that train, unless they belong together with a photo of another part.

    `val` and `test` are shares of all photos; another seed gives another split. Photos whose parts are `known`, by
    SHA-256, keep these; whatever belongs together with one of them trains, if one of them does, and the rest is divided
    as if it were alone.

    Raises:
        DataError: the user's own parts leave nothing to train on.
    """
    groups: defaultdict[int, list[Photo]] = defaultdict(list)
    for photo, group in zip(scan.photos, number_groups(scan.photos, scan.near_duplicates), strict=True):
        groups[int(group)].append(photo)
    if kept := _keep_parts(groups.values(), known or {}):
        left = tuple(photo for photo in scan.photos if photo.file not in kept)
        divided = {row.file: row.split for row in split_scan(replace(scan, photos=left), seed=seed, val=val, test=test)}
        return tuple(replace(row, split=(kept | divided)[row.file]) for row in given_rows(scan))
    free = [group for group in groups.values() if all(photo.split in (None, "train") for photo in group)]
    # Shares are of all photos, also where only some of them are free to move.
    scale = len(scan.photos) / max(sum(map(len, free)), 1)
    given = {photo.split for photo in scan.photos}
    shares: dict[Part, float] = {"val": val, "test": test}
    open_parts = {part: min(share * scale, 0.5) for part, share in shares.items() if part not in given}
    parts = _assign(_sort_by_class(scan, free), open_parts, seed=seed)
    rows = tuple(replace(row, split=parts.get(row.file, row.split)) for row in given_rows(scan))
    if rows and not any(row.split == "train" for row in rows):
        raise DataError("no photo is in the training part", "name some in the table, or add a train folder")
    return rows


def given_rows(scan: Scan) -> tuple[SplitRow, ...]:
    """Each photo with the part it came with, training where it came with none, ordered by file."""
    return tuple(
        SplitRow(
            file=photo.file,
            label=photo.label,
            split=photo.split or "train",
            sha256=photo.sha256,
            group=photo.group or "",
            multi_label=scan.multi_label,
        )
        for photo in sorted(scan.photos, key=lambda photo: photo.file)
    )


def check_split(rows: Iterable[SplitRow], root: Path) -> list[str]:
    """A line for each file below `root` that is missing or is not the photo it was when it was split."""
    problems = []
    for row in rows:
        try:
            if sha256_of(root / row.file) != row.sha256:
                problems.append(f"{row.file}: changed since the split")
        except FileNotFoundError:
            problems.append(f"{row.file}: missing")
        except OSError as error:
            problems.append(f"{row.file}: cannot be read ({error.strerror})")
    return problems


def fingerprint(rows: Iterable[SplitRow]) -> str:
    """The SHA-256 of the split: equal for equal photos, labels and parts, whatever the order of the rows."""
    facts = sorted([row.file, row.label, row.split, row.group, row.sha256] for row in rows)
    return hashlib.sha256(json.dumps(facts).encode("ascii")).hexdigest()


def number_groups(photos: Sequence[Photo | SplitRow], near_duplicates: Iterable[Sequence[str]]) -> NDArray[np.int64]:
    """Equal numbers (N,) for photos that must stay together: one picture, one group, and whatever these chain to."""
    numbers = {photo.file: number for number, photo in enumerate(photos)}
    tied = [[numbers[file] for file in files if file in numbers] for _, files in tied_files(photos, near_duplicates)]
    pairs = np.array([(files[0], file) for files in tied for file in files], dtype=int).reshape(-1, 2)
    return join_groups(np.arange(len(numbers)), pairs[:, 0], pairs[:, 1])


def _keep_parts(groups: Iterable[Sequence[Photo]], known: Mapping[str, Part]) -> dict[str, Part]:
    """The part of each photo, by file, in the groups of which one is known."""
    kept: dict[str, Part] = {}
    for group in groups:
        parts = [known[photo.sha256] for photo in group if photo.sha256 in known]
        if parts:
            joined = min(parts, key=PARTS.index)
            kept |= {photo.file: known.get(photo.sha256, joined) for photo in group}
    return kept


def _sort_by_class(scan: Scan, groups: Iterable[list[Photo]]) -> dict[str, list[list[Photo]]]:
    """The groups by the class that each is dealt out with: its most frequent one, of several labels the rarest of all.

    Photos without any label are a class of their own.
    """
    counts = scan.classes
    by_class: defaultdict[str, list[list[Photo]]] = defaultdict(list)
    for group in groups:
        if scan.multi_label:
            names = {name for photo in group for name in scan.labels_of(photo)}
            label = min(names, key=lambda name: (counts[name], name), default="")
        else:
            label, _ = min(Counter(photo.label for photo in group).items(), key=lambda item: (-item[1], item[0]))
        by_class[label].append(group)
    return by_class


def _assign(by_class: Mapping[str, list[list[Photo]]], shares: dict[Part, float], *, seed: int) -> dict[str, Part]:
    """The part of each photo that leaves the training part, by file; one group of every class stays."""
    chosen: dict[str, Part] = {}
    # How many photos each part wants and has, summed over classes so that rounding does not add up.
    wanted, taken = dict.fromkeys(shares, 0.0), dict.fromkeys(shares, 0)
    for label in sorted(by_class):
        waiting = sorted(by_class[label], key=lambda group: _draw(group, seed))
        photos = sum(map(len, waiting))
        for part, share in shares.items():
            wanted[part] += share * photos
        # The part that is furthest behind chooses first: a class with two groups gives its second to that one.
        order = sorted(shares, key=lambda part: taken[part] - wanted[part])
        for turn, part in enumerate(order):
            # Rounding may reach over to other classes, by one photo at most; an own share is never skipped.
            exact = shares[part] * photos
            target = min(max(round(wanted[part]) - taken[part], int(exact)), int(exact) + 1)
            leaving = _take(waiting, target, kept=len(order) - turn)  # one for each later part and for training
            if not leaving and len(waiting) > 1 and shares[part] > 0:
                leaving = [min(waiting, key=len)]
            gone = {group[0].file for group in leaving}  # to compare whole groups would take the square of their number
            waiting = [group for group in waiting if group[0].file not in gone]
            taken[part] += sum(map(len, leaving))
            chosen |= {photo.file: part for group in leaving for photo in group}
    return chosen


def _take(waiting: Sequence[list[Photo]], target: int, *, kept: int) -> list[list[Photo]]:
    """The first groups that together come to about `target` photos; at least `kept` are left."""
    taken, photos = list[list[Photo]](), 0
    for group in waiting:
        if len(waiting) - len(taken) > kept and photos < target and photos + len(group) / 2 <= target:
            taken.append(group)
            photos += len(group)
    return taken


def _draw(group: Iterable[Photo], seed: int) -> str:
    """Where a group stands in the order of its class, by its content and the seed."""
    content = min(photo.sha256 for photo in group)
    return hashlib.sha256(f"{seed}:{content}".encode("ascii")).hexdigest()
