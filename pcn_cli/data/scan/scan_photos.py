"""What is in a folder of photos: every file once, as a photo, as unreadable, or as passed over, with the reason.

Labels come from a table, from train/val/test folders with class folders inside, or from class folders.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

from pcn_cli.data.scan.content import promises_image
from pcn_cli.data.scan.decode import FileFacts, inspect_files
from pcn_cli.data.scan.labels import find_table
from pcn_cli.data.scan.layouts import (
    Candidate,
    Sorted,
    group_candidates,
    has_column,
    refuse_case_clashes,
    sort_by_folders,
    sort_by_table,
)
from pcn_cli.data.scan.walk import walk_folder
from pcn_cli.data.similar.duplicates import find_near_duplicates
from pcn_cli.errors import DataError
from pcn_cli.records.labels import split_labels
from pcn_cli.records.photos import Ignored, Part, Photo, Scan, Unreadable

Progress = Callable[[str, int, int], None]


def scan_photos(
    folder: Path,
    *,
    labels: Path | None = None,
    group_by: str | None = None,
    only: Part | None = None,
    on_progress: Progress | None = None,
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
    entries = walk_folder(root)
    table = find_table(root, labels)
    column = group_by if table and group_by and has_column(table, group_by) else None
    if table:
        plan = sort_by_table(root, entries, table.absolute(), group_column=column or "group")
    else:
        plan = sort_by_folders(entries)
    refuse_case_clashes(
        name for candidate in plan.candidates for name in split_labels(candidate.label, multi_label=plan.multi_label)
    )
    if group_by is not None and column is None:
        plan = replace(plan, candidates=group_candidates(plan.candidates, group_by))
    if only is not None:
        plan = _keep_part(plan, only)
    tell = on_progress or (lambda *_: None)
    facts = _decode_candidates(root, plan.candidates, partial(tell, "looking at photos"))
    return _make_scan(root, plan, facts, partial(tell, "looking for near duplicates"))


def other_part(part: Part) -> str:
    """Why a photo was passed over that is not of `part`."""
    return f"not of the {part} part"


def check_scan(scan: Scan, *, max_unreadable: float) -> None:
    """Return nothing where the photos can be learned from.

    Raises:
        DataError: no photos, nothing to tell apart, or a larger share than `max_unreadable` of the files is unreadable.
    """
    candidates = len(scan.photos) + len(scan.unreadable)
    if not scan.photos:
        raise DataError(f"no photos in {scan.root}{_count_the_rest(scan)}", _LAYOUT_HINT)
    if len(scan.unreadable) > max_unreadable * candidates:
        reasons = Counter(unreadable.reason for unreadable in scan.unreadable).most_common(3)
        words = "; ".join(f"{count} × {reason}" for reason, count in reasons)
        share = len(scan.unreadable) / candidates
        raise DataError(
            f"{len(scan.unreadable)} of {candidates} files are unreadable ({share:.1%}, allowed {max_unreadable:.1%}):"
            f" {words}",
            f"pcn inspect {scan.root} lists them; repair or remove them, or raise --set data.max_unreadable=…",
        )
    if scan.multi_label:
        if not any(0 < count < len(scan.photos) for count in scan.classes.values()):
            raise DataError(f"all {len(scan.photos)} photos in {scan.root} have the same labels", _SEVERAL_HINT)
    elif len(scan.classes) < 2:
        name = next(iter(scan.classes))
        raise DataError(f"one class only: all {len(scan.photos)} photos in {scan.root} are {name!r}", _LAYOUT_HINT)


_LAYOUT_HINT = "put the photos of each class into a folder named after it, or give a table with --labels FILE"

_SEVERAL_HINT = "a class can be learned where some photos have it and some have not; an empty cell means none"


def _count_the_rest(scan: Scan) -> str:
    reasons = Counter([*(u.reason for u in scan.unreadable), *(i.reason for i in scan.ignored)]).most_common(3)
    return ": " + "; ".join(f"{count} × {reason}" for reason, count in reasons) if reasons else ", it is empty"


def _keep_part(plan: Sorted, part: Part) -> Sorted:
    own = [candidate for candidate in plan.candidates if candidate.split == part]
    if not own:
        return plan
    rest = [Ignored(file=one.file, reason=other_part(part)) for one in plan.candidates if one.split != part]
    return replace(plan, candidates=own, ignored=[*plan.ignored, *rest])


def _decode_candidates(
    root: Path, candidates: Sequence[Candidate], on_photo: Callable[[int, int], None]
) -> dict[str, FileFacts]:
    """The facts of every candidate, by file."""
    facts = {}
    paths = [root / candidate.file for candidate in candidates]
    # Closed at once when `on_photo` raises, so that no process outlives the scan.
    with closing(inspect_files(paths)) as results:
        for position, found in results:
            facts[candidates[position].file] = found
            on_photo(len(facts), len(paths))
    return facts


def _make_scan(root: Path, plan: Sorted, facts: dict[str, FileFacts], on_compared: Callable[[int, int], None]) -> Scan:
    photos: list[Photo] = []
    unreadable, ignored = list(plan.unreadable), list(plan.ignored)
    for candidate in plan.candidates:
        found = facts[candidate.file]
        if not found.reason:
            photos.append(
                Photo(
                    file=candidate.file,
                    label=candidate.label,
                    width=found.width,
                    height=found.height,
                    sha256=found.sha256,
                    mode=found.mode,
                    split=candidate.split,
                    group=candidate.group,
                )
            )
        # A listed file was meant to be a photo; in a class folder the name or the content must say so.
        elif found.is_image or candidate.listed or promises_image(candidate.file):
            unreadable.append(Unreadable(file=candidate.file, reason=found.reason))
        else:
            ignored.append(Ignored(file=candidate.file, reason=f"not a photo: {found.reason}"))
    photos.sort(key=lambda photo: photo.file)
    sketches = {file: found.sketch for file, found in facts.items()}
    near_duplicates, alike = find_near_duplicates(photos, sketches, on_compared=on_compared)
    return Scan(
        root=str(root),
        layout=plan.layout,
        photos=tuple(photos),
        unreadable=tuple(sorted(unreadable, key=lambda item: item.file)),
        ignored=tuple(sorted(ignored, key=lambda item: item.file)),
        near_duplicates=near_duplicates,
        alike=alike,
        multi_label=plan.multi_label,
    )
