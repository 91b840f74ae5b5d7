"""Boxes to be cut out: which are wanted, which photo each is of, and the crops of photos that were named.

A crop is called after its photo and the box's number in the file, `birds/a.jpg#2`.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from pcn_cli.data.boxes.crops import Edges, cut_photo, edges_of
from pcn_cli.data.boxes.found import FoundBox
from pcn_cli.data.boxes.read import Others, find_boxes, refuse
from pcn_cli.data.load.open_image import UnreadablePhotoError
from pcn_cli.data.scan.decode import inspect_files
from pcn_cli.data.scan.doubts import describe_truncated
from pcn_cli.data.scan.listed_files import ListedFiles
from pcn_cli.errors import DataError, RecipeError, command
from pcn_cli.recipe.schema import CropOptions
from pcn_cli.records.photos import Box, SkippedFile

SURE = 0.2  # the confidence from which MegaDetector's users take a box for a thing
ANIMAL = "animal"
NOT_THERE = "is not among the photos"
_UNCUT = "no box can be cut out"
HINT = "the file must name photos of this folder, by their path or by name, each box inside its upright photo"


@dataclass(frozen=True, kw_only=True)
class ChosenBoxes:
    """The boxes of photos that are asked for which are wanted, what `others` have such, and what was passed over."""

    boxes: tuple[FoundBox, ...]
    others: Others
    note: str


def cut_named(
    paths: Sequence[Path], folder: Path | None, options: CropOptions, *, into: Path
) -> tuple[list[tuple[str, Path, Edges | None]], str]:
    """The crops of named photos, as (name, file in `into`, left, top, right and bottom), and what was passed over.

    Boxes of other photos are passed over. The crops of a photo that cannot be read have its own path, and no box:
    whoever opens it says why. `folder` is what names in the file count from, where one folder was named.

    Raises:
        DataError: what `find_boxes` refuses, a box that is not in its photo, or there is none of these photos.
    """
    file = Path(str(options.crop_boxes)).absolute()
    root = folder or (paths[0].parent if len(paths) == 1 else Path())
    names = {path: _below(path, root) for path in dict.fromkeys(paths)}
    entries = dict.fromkeys(names.values(), "")
    listed = ListedFiles(root.absolute(), file, entries)
    chosen = choose_boxes(file, options, names=listed.last_names)
    by_photo = find_photos(chosen.boxes, listed, entries=entries)[0]
    if not by_photo:
        raise DataError(f"{file} has no box of these photos", HINT)
    crops, missing = list[tuple[str, Path, Edges | None]](), dict[str, float | None]()
    for number, (path, name) in enumerate(names.items()):
        if name in by_photo:
            own = {name: by_photo[name]}
            given, missing[name] = _cut_boxes(
                path, own, file, into=into / str(number), load_truncated=options.load_truncated
            )
            crops += given
    return crops, "; ".join(filter(None, (chosen.note, describe_truncated(missing))))


def cut_below(
    root: Path, files: Sequence[str], options: CropOptions, *, into: Path
) -> tuple[list[str], list[SkippedFile], str]:
    """The crops of the photos `files` below `root`, by their paths below `into`, for which no label is needed.

    Beside them are the photos that cannot be read, and what was passed over, as of `cut_named`.

    Raises:
        DataError: what `cut_named` refuses, or none of the photos can be read.
    """
    cut, lost = list[str](), dict[Path, None]()
    with TemporaryDirectory(dir=into.parent) as place:
        crops, note = cut_named([root / file for file in files], root, options, into=Path(place))
        for name, path, edges in crops:
            if edges is None:
                lost[path] = None
                continue
            crop = into / _below(Path(name), root)
            crop.parent.mkdir(parents=True, exist_ok=True)
            path.rename(crop)
            cut.append(crop.relative_to(into).as_posix())
    if not cut:
        raise DataError(f"none of the {len(lost)} photos with boxes could be read", command("inspect", root))
    paths = list(lost)
    with closing(inspect_files(paths, load_truncated=options.load_truncated)) as results:
        reasons = {paths[place]: facts.reason for place, facts in results}
    return cut, [SkippedFile(file=_below(path, root), reason=reasons[path] or _UNCUT) for path in paths], note


def _cut_boxes(
    path: Path, boxes: Mapping[str, Sequence[FoundBox]], file: Path, *, into: Path, load_truncated: bool
) -> tuple[list[tuple[str, Path, Edges | None]], float | None]:
    """The crops of the photo at `path`, as of `cut_named`, and what share it lacks; `boxes` of `file` are its."""
    ((name, own),) = boxes.items()
    crops, lacks = list[tuple[str, Path, Edges | None]](), None

    def choose(size: tuple[int, int], missing: float | None) -> list[tuple[Path, Box]]:
        nonlocal lacks
        lacks, wanted = missing, []
        for number, box in place_boxes(boxes, {name: size}, file)[name]:
            # Overlays and copies are called after this name.
            place = into / str(number) / f"{path.stem}#{number}.png"
            crops.append((crop_name(str(path), number), place, edges_of(box)))
            wanted.append((place, box))
        return wanted

    try:
        cut_photo(path, choose, load_truncated=load_truncated)
    except UnreadablePhotoError:
        return [(crop_name(str(path), one.number), path, None) for one in own], None
    return crops, lacks


def refuse_idle_crops(options: CropOptions) -> None:
    """Raise a RecipeError where an option is about boxes, and no file of them is named."""
    given = {"--crop-confidence": options.crop_confidence, "--crop-category": options.crop_category}
    for flag, value in given.items():
        if value is not None:
            raise RecipeError(f"{flag} has no effect without --crop-boxes", "add --crop-boxes FILE")


def crop_name(file: str, number: int) -> str:
    """What a photo's box is called."""
    return f"{file}#{number}"


def choose_boxes(path: Path, options: CropOptions, *, names: Collection[str]) -> ChosenBoxes:
    """The boxes in the file at `path` that are wanted; `names` as of `find_boxes`.

    Raises:
        DataError: what `find_boxes` refuses, or none is wanted.
    """
    least, wanted = SURE if options.crop_confidence is None else options.crop_confidence, options.crop_category
    found = find_boxes(path, names=names, least=least)
    categories = {one for one in found.counts if one}
    if wanted is None and ANIMAL in categories:
        wanted = ANIMAL
    elif wanted is not None and wanted not in categories:
        told = ", ".join(sorted(categories)) or "none"
        raise DataError(f"{path} has no boxes of the category {wanted!r}; found {told}", "leave --crop-category out")
    sure = sum(found.sure.values())
    kept = sure if wanted is None else found.sure.get(wanted, 0)
    unsure, others = sum(found.counts.values()) - sure, sure - kept
    words = [f"{unsure:,} less sure than {least:g}"] * bool(unsure)
    words += [f"{others:,} of another category than {wanted}"] * bool(others)
    if not kept:
        left = f": {' and '.join(words)}" if words else ", it is empty"
        raise DataError(f"{path} has no box that is wanted{left}", "lower --crop-confidence, or name another file")
    return ChosenBoxes(
        boxes=tuple(one for one in found.boxes if wanted is None or one.category == wanted),
        others=found.others.get(wanted, Others()),
        note=f"boxes passed over: {', '.join(words)}" if words else "",
    )


def place_boxes(
    by_photo: Mapping[str, Sequence[FoundBox]], sizes: Mapping[str, tuple[int, int]], path: Path
) -> dict[str, list[tuple[int, Box]]]:
    """The boxes of each photo with their numbers, in pixels; a DataError names those that are not in their photo."""
    placed, problems = dict[str, list[tuple[int, Box]]](), list[str]()
    for file, own in by_photo.items():
        for one in own:
            try:
                placed.setdefault(file, []).append((one.number, one.place(sizes[file])))
            except ValueError as error:
                problems.append(str(error))
    refuse(f"{path} has boxes that do not fit their photos:", problems, HINT)
    return placed


def find_photos(
    found: Sequence[FoundBox], listed: ListedFiles, *, entries: Mapping[str, str]
) -> tuple[dict[str, list[FoundBox]], list[str]]:
    """The boxes by the file that each means, in the files' order, and what is wrong with those that mean none."""
    places = listed.find([one.file for one in found])
    by_photo, problems = dict[str, list[FoundBox]](), dict[str, None]()
    for one in found:
        place = places[one.file]
        if entries.get(place.file, "not there") or place.problem:
            several = place.problem if listed.knows(one.file) else ""
            problems[f"{one.file}: {several or NOT_THERE}"] = None
        else:
            by_photo.setdefault(place.file, []).append(one)
    return {file: by_photo[file] for file in sorted(by_photo)}, list(problems)


def _below(path: Path, root: Path) -> str:
    place, top = path.absolute(), root.absolute()
    return place.relative_to(top).as_posix() if place.is_relative_to(top) else place.as_posix()
