"""Which files of a folder may be photos and what their labels are: by folders or by a table; nothing is opened."""

import os
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from pcn_cli.data.scan.content import is_camera_raw
from pcn_cli.data.scan.labels import PART_NAMES, Candidate, has_column, read_labels
from pcn_cli.errors import DataError, RecipeError
from pcn_cli.records.photos import SEVERAL, SkippedFile

BAD_NAME = "the name is not valid text (UTF-8): rename it"


@dataclass(frozen=True, kw_only=True)
class SortedFiles:
    """Every file of a walk in one of three lists; with `multi_label` a photo may have several labels, or none."""

    layout: Literal["class folders", "split folders", "table"]
    candidates: list[Candidate] = field(default_factory=list)
    unreadable: list[SkippedFile] = field(default_factory=list)
    ignored: list[SkippedFile] = field(default_factory=list)
    multi_label: bool = False


def sort_by_folders(entries: Mapping[str, str]) -> SortedFiles:
    """Files labelled by the folders they lie in: `class/…`, or `train|val|valid|validation|test/class/…`.

    `entries` are what a walk found: files, and why they cannot be photos.
    """
    # The top folders are the user's own split; a class may be called "train" beside other classes.
    tops = {file.split("/")[0].casefold() for file, obstacle in entries.items() if "/" in file and not obstacle}
    parts = {PART_NAMES[top] for top in tops if top in PART_NAMES}
    in_parts = "train" in parts and (len(parts) > 1 or len(tops) == 1)
    result = SortedFiles(layout="split folders" if in_parts else "class folders")
    for file, obstacle in entries.items():
        *folders, _ = file.split("/")
        part = PART_NAMES.get(folders[0].casefold()) if in_parts and folders else None
        names = folders[1:] if part else folders
        if obstacle or is_camera_raw(file):
            reason = obstacle or "a camera raw file (convert it to JPEG to use it)"
            result.ignored.append(SkippedFile(file=_spell_out(file), reason=reason))
        elif _spell_out(file) != file:
            result.unreadable.append(SkippedFile(file=_spell_out(file), reason=BAD_NAME))
        elif in_parts and not part:
            result.ignored.append(SkippedFile(file=file, reason="not in one of the train, val or test folders"))
        elif not names:
            result.ignored.append(SkippedFile(file=file, reason="not in a class folder"))
        else:
            label = unicodedata.normalize("NFC", "/".join(names))
            result.candidates.append(Candidate(file=file, label=label, split=part))
    return result


def sort_by_table(root: Path, entries: Mapping[str, str], table: Path, *, group_column: str = "group") -> SortedFiles:
    """Files labelled by `table`, their groups its `group_column`; what it does not list is passed over."""
    result = SortedFiles(layout="table", multi_label=has_column(table, SEVERAL))
    composed = {unicodedata.normalize("NFC", file): file for file in entries}
    lines: dict[str, int | None] = {}
    for row in read_labels(table, group_column=group_column):
        file = _find_listed(root, table, row.file, entries, composed)
        if file in lines:
            hint = f"list it once; all labels of a photo stand in one column {SEVERAL}, with ; between them"
            raise DataError(f"{table}, line {row.line}: {row.file} stands on line {lines[file]} already", hint)
        lines[file] = row.line
        if file.startswith("../") or PurePosixPath(file).is_absolute():
            result.unreadable.append(SkippedFile(file=file, reason=f"listed, but outside the photos folder {root}"))
        elif _spell_out(file) != file:
            result.unreadable.append(SkippedFile(file=_spell_out(file), reason=BAD_NAME))
        else:
            result.candidates.append(replace(row, file=file))
    for file, obstacle in entries.items():
        if file not in lines:
            reason = "the table of labels" if root / file == table else obstacle or f"not listed in {table.name}"
            result.ignored.append(SkippedFile(file=_spell_out(file), reason=reason))
    return result


def refuse_case_clashes(labels: Iterable[str]) -> None:
    """Raise a DataError where two class names, or folders on the way to them, differ only by case."""
    spellings: dict[str, str] = {}
    for label in sorted(set(labels)):
        folders = PurePosixPath(label)
        for name in (str(folders), *map(str, folders.parents)):
            other = spellings.setdefault(unicodedata.normalize("NFC", name.casefold()), name)
            if other != name:
                raise DataError(f"the classes {other!r} and {name!r} differ only by case", "rename one, or merge them")


def _find_listed(root: Path, table: Path, written: str, entries: Mapping[str, str], composed: Mapping[str, str]) -> str:
    """The path below `root` of a file as a table writes it, with either slash and either Unicode form."""
    files = []
    for name in dict.fromkeys((written, written.replace("\\", "/"))):
        path = os.path.relpath(os.path.join(table.parent, name), root)  # noqa: PTH118 - joins text, also absolute paths
        files.append(Path(path).as_posix())
    forms = [composed.get(unicodedata.normalize("NFC", file)) for file in files]
    return next(filter(None, [*(file for file in files if file in entries), *forms]), files[0])


def _spell_out(file: str) -> str:
    """The path with bytes that are no text written as hexadecimal escapes."""
    return os.fsencode(file).decode("utf-8", "backslashreplace")


def group_candidates(candidates: Sequence[Candidate], pattern: str) -> list[Candidate]:
    """The candidates, those whose name matches with their group: the first capture group, or else the whole match.

    A pattern with a slash sees the path below the photos folder, any other the file's name alone. A photo that does
    not match belongs to no group.
    """
    hint = "--group-by '([a-z]+\\d+)_' puts photos together whose names begin alike, as in nest07_003.jpg"
    try:
        search = re.compile(pattern).search
    except re.error as error:
        problem = f"--group-by {pattern}: no column of a table and no regular expression: {error}"
        raise RecipeError(problem, hint) from error
    names = [one.file if "/" in pattern else PurePosixPath(one.file).name for one in candidates]
    grouped = []
    for one, name in zip(candidates, names, strict=True):
        found = search(name)
        # A capture group that took no part in the match says None.
        group = next((text for text in found.groups()[:1] if text is not None), found[0]) if found else None
        grouped.append(replace(one, group=group or None))
    if grouped and not any(one.group for one in grouped):
        problem = f"--group-by {pattern}: matches no column of a table and no file name, such as {names[0]}"
        raise RecipeError(problem, hint)
    return grouped
