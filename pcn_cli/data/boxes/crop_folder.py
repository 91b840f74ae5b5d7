"""A folder of crops with a table of their labels, made from a folder of photos and a file of boxes, to be scanned.

The boxes of a photo are of one group, so that they come into one part.
"""

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from multiprocessing.pool import ThreadPool
from pathlib import Path

from pcn_cli.data.boxes.crops import cut_photo
from pcn_cli.data.boxes.cut import HINT, NOT_THERE, choose_boxes, crop_name, find_photos, place_boxes
from pcn_cli.data.boxes.read import refuse
from pcn_cli.data.scan.decode import inspect_files
from pcn_cli.data.scan.doubts import find_truncated
from pcn_cli.data.scan.labels import Candidate
from pcn_cli.data.scan.layouts import group_candidates
from pcn_cli.data.scan.listed_files import ListedFiles
from pcn_cli.data.scan.scan_photos import sort_files
from pcn_cli.data.scan.table import TABLE_NAMES
from pcn_cli.data.scan.walk import walk_folder
from pcn_cli.errors import DataError
from pcn_cli.files.atomic import write_csv
from pcn_cli.files.machine import available_cores
from pcn_cli.recipe.schema import Labelling
from pcn_cli.records.metrics import Finding
from pcn_cli.records.photos import SEVERAL, SkippedFile

TABLE = TABLE_NAMES[0]
_NO_BOX = "no box in"


@dataclass(frozen=True, kw_only=True)
class Cut:
    """What became of the boxes: how many were cut out of how many photos, and what else there is among the photos."""

    boxes: int
    photos: int
    note: str = ""
    unreadable: tuple[SkippedFile, ...] = ()
    ignored: tuple[SkippedFile, ...] = ()
    doubts: tuple[Finding, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Labels:
    """What folders, names or a table say of the files that have a label."""

    known: Mapping[str, Candidate] = field(default_factory=dict)
    multi_label: bool = False


def cut_photos(
    root: Path,
    labelling: Labelling,
    *,
    into: Path,
    group_by: str | None = None,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> Cut:
    """Put what the boxes of `labelling` hold of the photos below `root` into the new folder `into`, with a table.

    A box has its own label, otherwise its photo's. Photos are decoded in processes of their own first: one that
    crashes its decoder is told among the unreadable.

    Raises:
        DataError: what `choose_boxes` refuses; a photo that is not there, a box that is not in it or has no label.
    """
    path, tell = Path(str(labelling.crop_boxes)).absolute(), on_progress or (lambda *_: None)
    entries = walk_folder(root)
    listed = ListedFiles(root, path, entries)
    chosen = choose_boxes(path, labelling, names=listed.last_names)
    by_photo, problems = find_photos(chosen.boxes, listed, entries=entries)
    problems += [f"{file}: {NOT_THERE}" for file in chosen.others.first]
    more = chosen.others.count - len(chosen.others.first)
    refuse(
        f"{path} has boxes of photos that are not there:", problems, HINT, more=more, at_least=chosen.others.at_least
    )
    needed = any(not one.label for one in chosen.boxes)
    labels = _list_labels(root, labelling, group_by, entries, needed=needed)
    unlabelled = [
        f"{one.file}: neither the box nor its photo has a label"
        for file, own in by_photo.items()
        for one in own
        if not (one.label or file in labels.known)
    ]
    refuse(f"{path} has boxes of no class:", unlabelled, "put the photos into a folder of their class each")
    files, unreadable, sizes = list(by_photo), list[SkippedFile](), dict[str, tuple[int, int]]()
    missing, truncated_too = dict[str, float | None](), labelling.load_truncated
    with closing(inspect_files([root / file for file in files], load_truncated=truncated_too)) as results:
        for done, (position, facts) in enumerate(results, start=1):
            sizes[files[position]] = (facts.width, facts.height)
            missing[files[position]] = facts.missing
            if facts.reason:
                unreadable.append(SkippedFile(file=files[position], reason=facts.reason))
            tell("looking at photos", done, len(files))
    lost = {one.file for one in unreadable}
    placed = place_boxes({file: own for file, own in by_photo.items() if file not in lost}, sizes, path)
    rows = list[tuple[str, str, str, str, str]]()
    with ThreadPool(available_cores()) as threads:
        work = ((root / file, [(into / crop_name(file, n), box) for n, box in own]) for file, own in placed.items())
        cut = threads.imap(lambda one: cut_photo(one[0], lambda *_: one[1], load_truncated=truncated_too), work)
        for (file, own), hashes in zip(placed.items(), cut, strict=True):
            of_photo = labels.known.get(file, Candidate(file=file, label=""))
            for (number, box), digest in zip(own, hashes, strict=True):
                part, group = of_photo.split or "", of_photo.group or file
                rows.append((crop_name(file, number), box.label or of_photo.label, part, group, digest))
            tell("cutting out boxes", len(rows), sum(map(len, placed.values())))
    write_csv(into / TABLE, ("file", SEVERAL if labels.multi_label else "label", "split", "group", "sha256"), rows)
    without = (file for file, obstacle in entries.items() if not obstacle and file not in by_photo)
    return Cut(
        boxes=len(rows),
        photos=len(placed),
        note=chosen.note,
        unreadable=tuple(unreadable),
        ignored=tuple(SkippedFile(file=file, reason=f"{_NO_BOX} {path.name}") for file in without),
        doubts=tuple(find_truncated(missing)),
    )


def _list_labels(
    root: Path, labelling: Labelling, group_by: str | None, entries: Mapping[str, str], *, needed: bool
) -> _Labels:
    """The labels of `entries` below `root`; where they are not `needed`, photos that have none are no fault."""
    try:
        files = sort_files(root, labelling, group_by)
    except DataError:
        if needed:
            raise
        plain = [Candidate(file=file, label="") for file, obstacle in entries.items() if not obstacle]
        grouped = group_candidates(plain, group_by) if group_by else plain
        return _Labels(known={one.file: one for one in grouped})
    known = {one.file: one for one in files.candidates}
    return _Labels(known=known, multi_label=files.multi_label and needed)
