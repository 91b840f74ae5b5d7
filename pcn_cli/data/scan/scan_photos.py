"""What is in a folder of photos: every file once, as a photo, as unreadable, or as passed over, with the reason.

Labels come from a table, from train/val/test folders with class folders inside, or from class folders.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from operator import attrgetter
from pathlib import Path

from pcn_cli.data.scan.content import promises_image
from pcn_cli.data.scan.decode import FileFacts, inspect_files
from pcn_cli.data.scan.labels import find_table, has_column
from pcn_cli.data.scan.layouts import (
    SortedFiles,
    group_candidates,
    refuse_case_clashes,
    sort_by_folders,
    sort_by_table,
)
from pcn_cli.data.scan.walk import walk_folder
from pcn_cli.data.similar.duplicates import find_near_duplicates
from pcn_cli.errors import DataError, command
from pcn_cli.records.photos import Part, Photo, Scan, SkippedFile, split_labels

_by_file = attrgetter("file")
_LAYOUT_HINT = "put the photos of each class into a folder named after it, or give a table with --labels FILE"
_SEVERAL_HINT = "a class can be learned where some photos have it and some have not; an empty cell means none"


def scan_photos(
    folder: Path,
    *,
    labels: Path | None = None,
    group_by: str | None = None,
    only: Part | None = None,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> Scan:
    """Everything in `folder`, each candidate decoded once; the folder is only read.

    Args:
        folder: class folders (`oak/…`, nested ones are named by path), split folders (`train/oak/…`), or photos with a
            table `labels.csv` or `split.csv`.
        labels: a table that wins over folders; its paths are relative to it.
        group_by: a column of the table, or a regular expression on file names, that tells which photos belong together.
        only: the part to look at, where a folder or a table names it; photos of other parts are passed over unopened.
        on_progress: called with (what is done, done, total); an exception that it raises ends the scan.

    Raises:
        DataError: no such folder, a malformed table, or class names that differ only by case.
        RecipeError: `group_by` is neither a column nor an expression that any name matches.
    """
    root = folder.absolute()
    tell = on_progress or (lambda *_: None)
    files = _sort_files(root, find_table(root, labels), group_by)
    if only is not None and any(one.split == only for one in files.candidates):
        rest = [SkippedFile(file=one.file, reason=other_part(only)) for one in files.candidates if one.split != only]
        candidates = [one for one in files.candidates if one.split == only]
        files = replace(files, candidates=candidates, ignored=[*files.ignored, *rest])
    facts: dict[str, FileFacts] = {}
    # Closed at once when `on_progress` raises, so that no process outlives the scan.
    with closing(inspect_files([root / one.file for one in files.candidates])) as results:
        for position, found in results:
            facts[files.candidates[position].file] = found
            tell("looking at photos", len(facts), len(files.candidates))
    photos = _tell_photos(files, facts)
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
    )


def _sort_files(root: Path, table: Path | None, group_by: str | None) -> SortedFiles:
    """The files below `root` with their labels and groups, from the table where there is one."""
    entries = walk_folder(root)
    column = group_by if table and group_by and has_column(table, group_by) else None
    if table:
        files = sort_by_table(root, entries, table.absolute(), group_column=column or "group")
    else:
        files = sort_by_folders(entries)
    refuse_case_clashes(
        name for one in files.candidates for name in split_labels(one.label, multi_label=files.multi_label)
    )
    if group_by is not None and column is None:
        files = replace(files, candidates=group_candidates(files.candidates, group_by))
    return files


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


def check_scan(scan: Scan, *, max_unreadable: float) -> None:
    """Refuse photos that cannot be learned from.

    Raises:
        DataError: no photos, nothing to tell apart, or a larger share than `max_unreadable` of the files is unreadable.
    """
    candidates = len(scan.photos) + len(scan.unreadable)
    if not scan.photos:
        reasons = _count_reasons([*scan.unreadable, *scan.ignored])
        raise DataError(f"no photos in {scan.root}{f': {reasons}' if reasons else ', it is empty'}", _LAYOUT_HINT)
    if len(scan.unreadable) > max_unreadable * candidates:
        share = f"{len(scan.unreadable) / candidates:.1%}, allowed {max_unreadable:.1%}"
        raise DataError(
            f"{len(scan.unreadable)} of {candidates} files are unreadable ({share}): {_count_reasons(scan.unreadable)}",
            f"{command('inspect', scan.root)} lists them (name your --labels with it); repair or remove them, or raise "
            "--set data.max_unreadable=…",
        )
    if scan.multi_label:
        if not any(0 < count < len(scan.photos) for count in scan.classes.values()):
            raise DataError(f"all {len(scan.photos)} photos in {scan.root} have the same labels", _SEVERAL_HINT)
    elif len(scan.classes) < 2:
        name = next(iter(scan.classes))
        raise DataError(f"one class only: all {len(scan.photos)} photos in {scan.root} are {name!r}", _LAYOUT_HINT)


def _count_reasons(files: Iterable[SkippedFile]) -> str:
    """The three most frequent reasons."""
    reasons = Counter(file.reason for file in files).most_common(3)
    return "; ".join(f"{count} × {reason}" for reason, count in reasons)
