"""Which files of a folder may be photos and what their labels are: by folders, names or a table; nothing is opened."""

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from pcn_cli.data.scan.class_names import clean_name, refuse_lookalikes
from pcn_cli.data.scan.columns import choose_columns
from pcn_cli.data.scan.content import is_camera_raw, promises_image
from pcn_cli.data.scan.doubts import find_doubts, refuse_doubtful
from pcn_cli.data.scan.labels import Candidate, list_candidates
from pcn_cli.data.scan.listed_files import ListedFiles
from pcn_cli.data.scan.part_names import read_parts
from pcn_cli.data.scan.patterns import match_names
from pcn_cli.data.scan.table import Table
from pcn_cli.data.scan.table_doubts import find_table_doubts
from pcn_cli.data.scan.unlabelled import refuse_unlabelled
from pcn_cli.data.scan.wrappers import Folders, Shape, read_shape
from pcn_cli.errors import DataError
from pcn_cli.recipe.schema import Labelling
from pcn_cli.records.metrics import Finding
from pcn_cli.records.photos import SEVERAL, Layout, Part, SkippedFile

BAD_NAME = "the name is not valid text (UTF-8): rename it"
NO_CLASS = "not in a class folder"
NO_PART = "not in one of the train, val or test folders"
NOT_LISTED = "not listed in"
NO_MATCH = "its name says no class (--label-from)"
_BEGIN_ALIKE = r"([a-z]+\d+)_"
_GROUP_HINT = f"--group-by '{_BEGIN_ALIKE}' puts photos together whose names begin alike, as in nest07_003.jpg"
_OTHER_HINT = "name a column of the table, or a pattern whose bracket finds what the names of one series have in common"
_LABEL_HINT = (
    "--label-from '^([a-z]+)' takes the class from names such as cat.12.jpg: the first bracket, or all it matches"
)


@dataclass(frozen=True, kw_only=True)
class SortedFiles:
    """Every file of a walk in one of three lists; with `multi_label` a photo may have several labels, or none.

    `assumptions` say how the folders or the table were read where they could mean something else, `doubts` what a
    person should look at.
    """

    layout: Layout
    candidates: list[Candidate] = field(default_factory=list)
    unreadable: list[SkippedFile] = field(default_factory=list)
    ignored: list[SkippedFile] = field(default_factory=list)
    assumptions: list[str] = field(default_factory=list)
    doubts: list[Finding] = field(default_factory=list)
    multi_label: bool = False


def sort_by_folders(entries: Mapping[str, str], *, root: Path = Path(), label_from: str | None = None) -> SortedFiles:
    """Files labelled by the folders they lie in, or by what `label_from` finds in their names.

    `entries` are what a walk found below `root`: files, and why they cannot be photos.

    Raises:
        DataError: no photo has a label, or the folders would make wrong classes.
        RecipeError: `label_from` matches no name.
    """
    result = SortedFiles(layout="file names" if label_from else "class folders")
    files = _sift(entries, result)
    photos = {file for file in files if promises_image(file)} or set(files)
    shape = read_shape({_folders(file) for file in photos})
    if label_from:
        shape = _label_by_name(files, shape, label_from, result)
    else:
        _label_by_folder(files, shape, result)
    labelled = [one.file for one in result.candidates if one.file in photos]
    if photos and not labelled:
        reasons = Counter(one.reason for one in result.ignored if one.file in photos).most_common(3)
        told = "; ".join(f"{count} × {reason}" for reason, count in reasons)
        refuse_unlabelled(root, sorted(photos), entries, told)
    result.assumptions.extend(_explain(shape, by_folder=not label_from))
    if label_from:
        return result
    classes = {shape.read(_folders(file))[1] for file in labelled}
    refuse_doubtful(root, shape, classes)
    refuse_lookalikes("/".join(names) for names in classes)
    result.doubts.extend(find_doubts(root, classes))
    if shape.parts:
        return replace(result, layout="split folders")
    called_so = read_parts({path[0] for path in classes if len(path) == 1})
    result.assumptions.extend(f"{name}/ is taken for a class" for name in called_so)
    return result


def _sift(entries: Mapping[str, str], result: SortedFiles) -> list[str]:
    """The files that may be photos; the others join the `result` with the reason."""
    files = []
    for file, obstacle in entries.items():
        if obstacle or is_camera_raw(file):
            reason = obstacle or "a camera raw file (convert it to JPEG to use it)"
            result.ignored.append(SkippedFile(file=_spell_out(file), reason=reason))
        elif _spell_out(file) != file:
            result.unreadable.append(SkippedFile(file=_spell_out(file), reason=BAD_NAME))
        else:
            files.append(file)
    return files


def _label_by_folder(files: Sequence[str], shape: Shape, result: SortedFiles) -> None:
    for file in files:
        part, classes = shape.read(_folders(file))
        _sort(file, "/".join(map(clean_name, classes)), part, shape, result, without=NO_CLASS)


def _label_by_name(files: Sequence[str], shape: Shape, pattern: str, result: SortedFiles) -> Shape:
    """Label files by what `pattern` finds in their names; the shape as it counts then."""
    named = match_names(files, pattern, flag="--label-from", hint=_LABEL_HINT)
    if any(set(shape.parts).intersection((name or "").split("/")) for name in named):
        shape = Shape()  # the pattern takes these folders for classes
    for file, name in zip(files, named, strict=True):
        part, _ = shape.read(_folders(file))
        _sort(file, clean_name(name) if name else "", part, shape, result, without=NO_MATCH)
    refuse_lookalikes(name for name in named if name)
    return shape


def _sort(file: str, label: str, part: Part | None, shape: Shape, result: SortedFiles, *, without: str) -> None:
    """Put a file among the candidates or the ignored; `without` is why it has no label where it has none."""
    if shape.parts and not part:
        result.ignored.append(SkippedFile(file=file, reason=NO_PART))
    elif not label:
        result.ignored.append(SkippedFile(file=file, reason=without))
    else:
        result.candidates.append(Candidate(file=file, label=label, split=part))


def _explain(shape: Shape, *, by_folder: bool) -> list[str]:
    """How the folders were read, where they are not simply classes, or train, val and test."""
    lines = []
    if shape.wrapper and by_folder:
        lines.append(f"classes are read below {'/'.join(shape.wrapper)}/")
    unusual = {name: part for name, part in shape.parts.items() if name.casefold() != part}
    if unusual:
        lines.append("parts by folder: " + ", ".join(f"{name}/ is {part}" for name, part in sorted(unusual.items())))
    if shape.last and by_folder:
        lines.append(f"{shape.last}/ in each class folder is no class")
    if shape.doubled and by_folder:
        lines.append("the folder in each class folder that is called like it is no class")
    if shape.level:
        lines.append("train, val and test are read inside the class folders")
    inner = sorted(name for name, steps in shape.inner.items() if steps)
    if inner and by_folder:
        lines.append(f"classes are read one folder deeper in {', '.join(inner)}")
    return lines


def sort_by_table(
    root: Path,
    entries: Mapping[str, str],
    table: Table,
    *,
    labelling: Labelling | None = None,
    group_column: str = "group",
) -> SortedFiles:
    """Files labelled by `table`, their groups its `group_column`; what it does not list is passed over.

    Raises:
        DataError: the columns cannot be told, a row is malformed, or a photo stands there twice.
        RecipeError: a column that was named is not there.
    """
    listed = ListedFiles(root, table.path, entries)
    columns = choose_columns(table, labelling or Labelling(), group_column=group_column, names_photo=listed.knows)
    rows = list_candidates(table, columns)
    result = SortedFiles(layout="table", multi_label=columns.multi_label)
    lines: dict[str, int | None] = {}
    places = listed.find([row.file for row in rows])
    for row in rows:
        place = places[row.file]
        if place.file in lines:
            hint = f"list it once; all labels of a photo stand in one column {SEVERAL}, with ; between them"
            where = f"{table.path}, line {row.line}"
            raise DataError(f"{where}: {row.file} stands on line {lines[place.file]} already", hint)
        lines[place.file] = row.line
        if place.problem:
            result.unreadable.append(SkippedFile(file=place.file, reason=place.problem))
        elif _spell_out(place.file) != place.file:
            result.unreadable.append(SkippedFile(file=_spell_out(place.file), reason=BAD_NAME))
        else:
            result.candidates.append(row if row.file == place.file else replace(row, file=place.file))
    for file, obstacle in entries.items():
        if file not in lines:
            is_table = root / file == table.path
            reason = "the table of labels" if is_table else obstacle or f"{NOT_LISTED} {table.path.name}"
            result.ignored.append(SkippedFile(file=_spell_out(file), reason=reason))
    result.doubts.extend(find_table_doubts(table, columns, rows))
    return replace(result, assumptions=[*columns.assumptions, *listed.explain(places)])


def _folders(file: str) -> Folders:
    return tuple(file.split("/")[:-1])


def _spell_out(file: str) -> str:
    """The path with bytes that are no text written as hexadecimal escapes."""
    return os.fsencode(file).decode("utf-8", "backslashreplace")


def group_candidates(candidates: Sequence[Candidate], pattern: str) -> list[Candidate]:
    """The candidates, those whose name matches with their group; a photo that does not match belongs to none."""
    files, also = [one.file for one in candidates], " no column of a table and"
    hint = _GROUP_HINT if any(re.search(_BEGIN_ALIKE, PurePosixPath(file).name) for file in files) else _OTHER_HINT
    found = match_names(files, pattern, flag="--group-by", hint=hint, also=also)
    return [replace(one, group=group) for one, group in zip(candidates, found, strict=True)]
