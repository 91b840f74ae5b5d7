"""What speaks against a reading of folders: names that would make wrong classes are refused, odd ones are told.

A reading is never put right in silence: where a tree may mean two things, the message says what would settle it.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from pcn_cli.data.scan.labels import Candidate
from pcn_cli.data.scan.part_names import read_parts, speaks_of_part
from pcn_cli.data.scan.unlabelled import name_some
from pcn_cli.data.scan.wrappers import Folders, Shape, is_container
from pcn_cli.errors import DataError, command
from pcn_cli.records.metrics import Finding
from pcn_cli.records.photos import SEPARATOR, Photo

TAKE_FOLDERS = "^(.+)/"  # every folder on the way, as one class name
TAKE_LAST_FOLDER = "([^/]+)/[^/]+$"

_MASKS = re.compile(r"masks?|annotations?|segment\w*|labels?|gt|ground[ _-]?truths?|trimaps?", re.IGNORECASE)


def refuse_doubtful(root: Path, shape: Shape, classes: Collection[Folders]) -> None:
    """Raise a DataError where folders would become classes that speak of parts, or of masks beside their photos.

    `classes` are the folders that name the class of a photo, each once.
    """
    settle = f"{command('inspect', root, '--label-from', TAKE_FOLDERS)} takes every folder for a class"
    doubted = sorted(_find_parts(classes, has_parts=bool(shape.parts)))
    if doubted:
        example = "/".join(next(path for path in sorted(classes) if set(doubted) & set(path)))
        raise DataError(
            f"{root}: is {name_some(list(map(repr, doubted)))} a part of a split or a class? Photos lie in {example},"
            " and not every folder beside it names a part",
            f"name the folder that is meant, or move the others away; {settle}",
        )
    tops = {path[0] for path in classes}
    images = {top for top in tops if is_container(top) or top.casefold().endswith("images")}
    masks = {top for top in tops if _MASKS.fullmatch(top)}
    if images and masks and images | masks == tops:
        photos = command("inspect", root.joinpath(*shape.wrapper, min(images)))
        raise DataError(
            f"{root}: {', '.join(sorted(tops))} look like photos and what was drawn over them, not like classes",
            f"name the folder of the photos alone: {photos}; {settle}",
        )


def _find_parts(classes: Collection[Folders], *, has_parts: bool) -> set[str]:
    """The folders on the way to a class that speak of parts, though they were not read as such."""
    doubted: set[str] = set()
    if not has_parts:
        tops = {path[0] for path in classes if len(path) == 1}
        parts, spoken = read_parts(tops), {top for top in tops if speaks_of_part(top)}
        # A class may be called train; beside a class nothing is called validation or test.
        doubted |= {top for top, part in parts.items() if part != "train"} | (spoken if len(spoken) > 1 else set())
    for *above, last in classes:
        doubted |= {name for name in above if speaks_of_part(name)}
        doubted |= {last} if above and read_parts([last]) else set()
    return doubted


def find_doubts(root: Path, classes: Collection[Folders]) -> Iterator[Finding]:
    """What a person should look at, because the folders may mean something else than was read."""
    yield from _find_repeated(root, classes)
    yield from _find_mixed(classes)


def _find_repeated(root: Path, classes: Collection[Folders]) -> Iterator[Finding]:
    """One class name under two folders: is the path the class, or the name alone?"""
    above: defaultdict[str, set[str]] = defaultdict(set)
    for path in classes:
        if len(path) > 1:
            above[path[-1]].add("/".join(path[:-1]))
    repeated = {name: sorted(found) for name, found in above.items() if len(found) > 1}
    if repeated:
        name, places = min(repeated.items())
        settle = command("inspect", root, "--label-from", TAKE_LAST_FOLDER)
        count = "A class name stands" if len(repeated) == 1 else f"{len(repeated)} class names stand"
        yield Finding(
            severity="warning",
            title=f"{count} under two folders or more",
            evidence=f"{name} stands under {name_some(places)}; read as {name_some([f'{p}/{name}' for p in places])}.",
            remedy=f"If the last folder alone is the class: {settle}; if"
            " the first ones are parts of a split, call them train, val and test.",
        )


def _find_mixed(classes: Collection[Folders]) -> Iterator[Finding]:
    """Photos in a folder and in folders inside it, and class folders of different depth."""
    around = {path[:n] for path in classes for n in range(1, len(path))}
    mixed = sorted(around.intersection(classes))
    if mixed:
        inside = min(path for path in classes if path[: len(mixed[0])] == mixed[0] and path != mixed[0])
        yield Finding(
            severity="warning",
            title=f"Photos lie in {name_some(list(map('/'.join, mixed)))} and in folders inside",
            evidence=f"Read as classes of their own: {'/'.join(mixed[0])} and {'/'.join(inside)}.",
            remedy="If they are one class, put the photos into one folder; if the outer ones have no class, move them.",
        )
    deep = sorted(path for path in classes if len(path) > 1 and path[:1] not in mixed)
    flat = sorted(path for path in classes if len(path) == 1 and path not in mixed)
    if deep and flat:
        shown = (name_some(list(map("/".join, paths))) for paths in (flat, deep))
        yield Finding(
            severity="warning",
            title="Some classes are folders, others are folders in folders",
            evidence=f"Read as classes: {'; and '.join(shown)}.",
            remedy="If one of them only holds others, move its folders up, or name it as the folder of photos.",
        )


def find_truncated(missing: Mapping[str, float | None]) -> Iterator[Finding]:
    """A warning that names the truncated photos that are used; `missing` is by file, as in OpenedPhoto."""
    if described := describe_truncated(missing):
        title, _, named = described.partition(": ")
        yield Finding(
            severity="warning",
            title=title,
            evidence=f"One colour fills what is not there: {named}.",
            remedy="Bring back whole copies where there are any; without --load-truncated they are left out.",
        )


def describe_truncated(missing: Mapping[str, float | None]) -> str:
    """How many truncated photos are used, and about how much of which is missing; empty where all are whole."""
    named = [f"{file} ({share:.0%} is missing)" for file, share in sorted(missing.items()) if share is not None]
    photos = "photo is" if len(named) == 1 else "photos are"
    return f"{len(named):,} truncated {photos} used: {name_some(named)}" if named else ""


def find_emptied(candidates: Iterable[Candidate], photos: Iterable[Photo], *, multi_label: bool) -> Iterator[Finding]:
    """A warning where classes had files and have no photo any more: nothing else would say that they are gone."""

    def names(labels: Iterable[str]) -> set[str]:
        return {name for label in labels for name in (label.split(SEPARATOR) if multi_label else [label]) if name}

    emptied = sorted(names(one.label for one in candidates) - names(photo.label for photo in photos))
    if emptied:
        yield Finding(
            severity="warning",
            title=f"{len(emptied)} {'class has' if len(emptied) == 1 else 'classes have'} no photo left to learn from",
            evidence=f"{name_some(emptied)}: all their files are unreadable, or decisions removed or relabelled them.",
            remedy="Such a class is not known to the model. Repair the files, or keep some of the photos.",
        )
