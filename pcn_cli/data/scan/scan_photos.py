"""What is in a folder of photos: every file once, as a photo, as unreadable, or as passed over, with the reason.

Labels come from a table, from the names of the files, from class folders, or from these inside folders for parts.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from operator import attrgetter
from pathlib import Path

from pcn_cli.data.scan.content import promises_image
from pcn_cli.data.scan.decisions import Decisions, added_files, apply_decisions
from pcn_cli.data.scan.decode import FileFacts, inspect_files, keep_seen
from pcn_cli.data.scan.doubts import find_emptied, find_truncated
from pcn_cli.data.scan.layouts import (
    NO_CLASS,
    NO_MATCH,
    NO_PART,
    NOT_LISTED,
    SortedFiles,
    group_candidates,
    sort_by_folders,
    sort_by_table,
)
from pcn_cli.data.scan.table import find_table, read_table
from pcn_cli.data.scan.unlabelled import LAYOUT_HINT, suggest_labelling
from pcn_cli.data.scan.walk import EMPTY, walk_folder
from pcn_cli.data.similar.duplicates import find_near_duplicates
from pcn_cli.errors import DataError, RecipeError, command
from pcn_cli.files.machine import unsearched
from pcn_cli.recipe.schema import Labelling
from pcn_cli.records.photos import LeftOut, Part, Photo, Scan, SkippedFile

_by_file = attrgetter("file")
_TABLE_HINT = (
    "the table must name the files by their path from its own folder or from the photos folder, by name or by id,"
    " each with a label"
)
_SEVERAL_HINT = "a class can be learned where some photos have it and some have not; an empty cell means none"


@unsearched()
def scan_photos(
    folder: Path,
    *,
    labelling: Labelling | None = None,
    group_by: str | None = None,
    only: Part | None = None,
    decisions: Decisions | None = None,
    seen: Path | None = None,
    remember: bool = True,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> Scan:
    """Everything in `folder`, each candidate decoded at most once; the folder is only read.

    Args:
        folder: class folders (`oak/…`, nested ones are named by path), split folders (`train/oak/…`), or photos with a
            table `labels.csv` or `split.csv`.
        labelling: a table or a pattern that wins over folders, and whether truncated photos are taken.
        group_by: a column of the table, or a regular expression on file names, that tells which photos belong together.
        only: the part to look at, where a folder or a table names it; photos of other parts are passed over unopened.
        decisions: labels to correct, photos to pass over, and photos from elsewhere to take in.
        seen: the file of what earlier scans saw; what is there is not decoded.
        remember: whether what is not there will be.
        on_progress: called with (what is done, done, total); an exception that it raises ends the scan.

    Raises:
        DataError: no such folder, a malformed table, folders that would make wrong classes, or class names that look
            the same.
        RecipeError: a column or a pattern matches nothing, or an option has no effect beside another.
    """
    root = folder.absolute()
    tell = on_progress or (lambda *_: None)
    files = sort_files(root, labelling or Labelling(), group_by)
    left_out = _count_left_out(files.ignored)
    if only is not None and any(one.split == only for one in files.candidates):
        rest = [SkippedFile(file=one.file, reason=other_part(only)) for one in files.candidates if one.split != only]
        candidates = [one for one in files.candidates if one.split == only]
        files = replace(files, candidates=candidates, ignored=[*files.ignored, *rest])
    decided = decisions or Decisions()
    listed = {one.file for one in files.candidates}
    added = [one for one in added_files(decided, root=root) if one.file not in listed]
    files = replace(files, candidates=[*files.candidates, *added])
    facts: dict[str, FileFacts] = {}
    # Closed at once when `on_progress` raises, so that no process outlives the scan.
    paths = [os.path.join(root, one.file) for one in files.candidates]  # noqa: PTH118 - a tenth of pathlib's time
    load_truncated = bool(labelling and labelling.load_truncated)
    try:
        with closing(inspect_files(paths, load_truncated=load_truncated, seen=seen)) as results:
            for position, found in results:
                facts[files.candidates[position].file] = found
                tell("looking at photos", len(facts), len(files.candidates))
    finally:  # also what an interrupted scan saw
        if seen is not None and remember:
            keep_seen(facts.values(), seen)
    photos, removed = apply_decisions(_tell_photos(files, facts), decided, root=root, multi_label=files.multi_label)
    files.ignored.extend(removed)
    files.doubts.extend(find_truncated({file: found.missing for file, found in facts.items()}))
    files.doubts.extend(find_emptied(files.candidates, photos, multi_label=files.multi_label))
    near_duplicates, alike = find_near_duplicates(
        photos,
        {file: found.sketch for file, found in facts.items()},
        on_compared=partial(tell, "looking for near duplicates"),
    )
    return Scan(
        root=str(root),
        layout=files.layout,
        photos=tuple(photos),
        unreadable=tuple(sorted(files.unreadable, key=_by_file)),
        ignored=tuple(sorted(files.ignored, key=_by_file)),
        near_duplicates=near_duplicates,
        alike=alike,
        multi_label=files.multi_label,
        left_out=left_out,
        assumptions=tuple(files.assumptions),
        doubts=tuple(files.doubts),
    )


def sort_files(root: Path, labelling: Labelling, group_by: str | None) -> SortedFiles:
    """The files below `root` with their labels and groups, from the table where there is one; nothing is opened.

    Raises:
        DataError: no such folder, a malformed table, or no photo has a label. RecipeError: as of `scan_photos`.
    """
    entries = walk_folder(root)
    place = _find_table(root, labelling)
    table = read_table(place.absolute(), files=len(entries)) if place else None
    column = group_by if table and group_by and table.find(group_by) is not None else None
    if table:
        files = sort_by_table(root, entries, table, labelling=labelling, group_column=column or "group")
    else:
        files = sort_by_folders(entries, root=root, label_from=labelling.label_from)
    if group_by is not None and column is None:
        files = replace(files, candidates=group_candidates(files.candidates, group_by))
    return files


def _find_table(root: Path, labelling: Labelling) -> Path | None:
    """The table to read, if any; a RecipeError where one option would have no effect beside another."""
    if labelling.label_from is not None and labelling.labels is not None:
        raise RecipeError("--label-from has no effect with --labels", "leave one of the two out")
    if labelling.label_from is not None:
        table = None
    else:
        table = find_table(root, None if labelling.labels is None else Path(labelling.labels))
    columns = {"--file-column": labelling.file_column, "--label-column": labelling.label_column}
    if table is None and (given := [flag for flag, name in columns.items() if name is not None]):
        raise RecipeError(f"{given[0]} has no effect without a table", "name one with --labels FILE")
    return table


def _count_left_out(ignored: Iterable[SkippedFile]) -> tuple[LeftOut, ...]:
    """What was passed over and looks like a photo, by its outermost folder and the reason; and empty folders."""
    counts: Counter[tuple[str, str]] = Counter()
    for one in ignored:
        if one.reason == EMPTY:
            counts[one.file.rstrip("/"), EMPTY] = 0
        elif promises_image(one.file) and one.reason.startswith((NO_CLASS, NO_PART, NO_MATCH, NOT_LISTED)):
            counts["/".join(one.file.split("/")[:-1][:1]), one.reason] += 1
    found = (LeftOut(folder=folder, photos=count, reason=reason) for (folder, reason), count in counts.items())
    return tuple(sorted(found, key=lambda one: (-one.photos, one.folder)))


def _tell_photos(files: SortedFiles, facts: Mapping[str, FileFacts]) -> list[Photo]:
    """The photos in the order of their files; what decoding showed to be none joins the files set aside."""
    photos: list[Photo] = []
    for candidate in files.candidates:
        file, found = candidate.file, facts[candidate.file]
        if not found.reason:
            photo = Photo(
                file=file,
                label=candidate.label,
                width=found.width,
                height=found.height,
                sha256=found.sha256,
                mode=found.mode,
                split=candidate.split,
                group=candidate.group,
            )
            photos.append(photo)
        # A listed file was meant to be a photo; in a class folder the name or the content must say so.
        elif found.is_image or candidate.line or promises_image(file):
            files.unreadable.append(SkippedFile(file=file, reason=found.reason))
        else:
            files.ignored.append(SkippedFile(file=file, reason=f"not a photo: {found.reason}"))
    return sorted(photos, key=_by_file)


def other_part(part: Part) -> str:
    """Why a photo was passed over that is not of `part`."""
    return f"not of the {part} part"


def check_scan(scan: Scan, *, max_unreadable: float, labelling: Labelling | None = None) -> None:
    """Refuse photos that cannot be learned from; `labelling` is how they were read.

    Raises:
        DataError: no photos, nothing to tell apart, or a larger share than `max_unreadable` of the files is unreadable.
    """
    candidates, root = len(scan.photos) + len(scan.unreadable), Path(scan.root)
    if not scan.photos:
        reasons = "; ".join(filter(None, map(_count_reasons, (scan.unreadable, scan.ignored))))
        hint = _TABLE_HINT if scan.layout == "table" else LAYOUT_HINT
        if scan.layout == "table" and not (labelling and labelling.labels):
            hint += "; to go by the folders, move the table out of the folder of photos"
        raise DataError(f"no photos in {root}{f': {reasons}' if reasons else ', it is empty'}", hint)
    if len(scan.unreadable) > max_unreadable * candidates:
        share = f"{len(scan.unreadable) / candidates:.1%}, allowed {max_unreadable:.1%}"
        truncated = any(one.is_truncated for one in scan.unreadable)
        or_use = "; --load-truncated uses truncated ones" if truncated else ""
        shown = command("inspect", root, *(labelling or Labelling()).words())
        raise DataError(
            f"{len(scan.unreadable)} of {candidates} files are unreadable ({share}): {_count_reasons(scan.unreadable)}",
            f"{shown} lists them; repair or remove them, or raise --set data.max_unreadable=…{or_use}",
        )
    if scan.multi_label:
        if not any(0 < count < len(scan.photos) for count in scan.classes.values()):
            raise DataError(f"all {len(scan.photos)} photos in {scan.root} have the same labels", _SEVERAL_HINT)
    elif len(scan.classes) < 2:
        name = next(iter(scan.classes))
        photos, others = [photo.file for photo in scan.photos], [one.file for one in scan.ignored]
        hint = _TABLE_HINT if scan.layout == "table" else suggest_labelling(root, photos, others)
        raise DataError(f"one class only: all {len(scan.photos)} photos in {scan.root} are {name!r}", hint)


def _count_reasons(files: Iterable[SkippedFile]) -> str:
    """The three most frequent reasons."""
    reasons = Counter(file.reason for file in files).most_common(3)
    return "; ".join(f"{count} × {reason}" for reason, count in reasons)
