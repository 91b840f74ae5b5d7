"""Which files of a folder may be photos and what their labels are: by folders or by a table; nothing is opened."""

import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from pcn_cli.data.scan.content import is_camera_raw
from pcn_cli.data.scan.labels import PART_NAMES, LabelRow, has_several, read_header, read_labels
from pcn_cli.data.scan.walk import Entry
from pcn_cli.errors import DataError, RecipeError
from pcn_cli.records.labels import SEVERAL
from pcn_cli.records.photos import Ignored, Part, Unreadable

BAD_NAME = "the name is not valid text (UTF-8): rename it"


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A file that is to be decoded, with its label (several joined); `listed` tells that a table names it."""

    file: str
    label: str
    split: Part | None = None
    group: str | None = None
    listed: bool = False


@dataclass(frozen=True, kw_only=True)
class Sorted:
    """Every file of a walk in one of three lists; with `multi_label` a photo may have several labels, or none."""

    layout: Literal["class folders", "split folders", "table"]
    candidates: list[Candidate] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    ignored: list[Ignored] = field(default_factory=list)
    multi_label: bool = False


def sort_by_folders(entries: Sequence[Entry]) -> Sorted:
    """Files labelled by the folders they lie in: `class/…`, or `train|val|valid|validation|test/class/…`."""
    in_parts = _are_split_folders(entries)
    result = Sorted(layout="split folders" if in_parts else "class folders")
    for entry in entries:
        if _set_aside(entry, result):
            continue
        *folders, _ = entry.file.split("/")
        part = PART_NAMES.get(folders[0].casefold()) if in_parts and folders else None
        names = folders[1:] if part else folders
        if in_parts and not part:
            result.ignored.append(Ignored(file=entry.file, reason="not in one of the train, val or test folders"))
        elif not names:
            result.ignored.append(Ignored(file=entry.file, reason="not in a class folder"))
        else:
            label = unicodedata.normalize("NFC", "/".join(names))
            result.candidates.append(Candidate(file=entry.file, label=label, split=part))
    return result


def sort_by_table(root: Path, entries: Sequence[Entry], table: Path, *, group_column: str = "group") -> Sorted:
    """Files labelled by `table`, their groups its `group_column`; what it does not list is passed over.

    Raises:
        DataError: the table is malformed or lists a file twice.
    """
    result = Sorted(layout="table", multi_label=has_several(table))
    found = {entry.file: entry for entry in entries}
    composed = {unicodedata.normalize("NFC", entry.file): entry.file for entry in entries}
    lines: dict[str, LabelRow] = {}
    for row in read_labels(table, group_column=group_column):
        file = _find_listed(root, table, row.file, found, composed)
        if file in lines:
            first = lines[file].line
            hint = f"list it once; all labels of a photo stand in one column {SEVERAL}, with ; between them"
            raise DataError(f"{table}, line {row.line}: {row.file} stands on line {first} already", hint)
        lines[file] = row
        if file.startswith("../") or PurePosixPath(file).is_absolute():
            result.unreadable.append(Unreadable(file=file, reason=f"listed, but outside the photos folder {root}"))
        elif not _is_text(file):
            result.unreadable.append(Unreadable(file=_spell_out(file), reason=BAD_NAME))
        else:
            result.candidates.append(
                Candidate(file=file, label=row.label, split=row.split, group=row.group, listed=True)
            )
    for entry in entries:
        if entry.file in lines:
            continue
        if root / entry.file == table:
            result.ignored.append(Ignored(file=entry.file, reason="the table of labels"))
        else:
            reason = entry.obstacle or f"not listed in {table.name}"
            result.ignored.append(Ignored(file=_spell_out(entry.file), reason=reason))
    return result


def refuse_case_clashes(labels: Iterable[str]) -> None:
    """Return nothing where class names stay apart on every file system.

    Raises:
        DataError: two names, or folders on the way to them, differ only by case.
    """
    spellings: dict[str, str] = {}
    for label in sorted(set(labels)):
        folders = PurePosixPath(label)
        for name in (str(folders), *map(str, folders.parents)):
            other = spellings.setdefault(unicodedata.normalize("NFC", name.casefold()), name)
            if other != name:
                raise DataError(f"the classes {other!r} and {name!r} differ only by case", "rename one, or merge them")


def _set_aside(entry: Entry, result: Sorted) -> bool:
    """Whether the entry was put into a list because it cannot be a photo at all."""
    if entry.obstacle or is_camera_raw(entry.file):
        reason = entry.obstacle or "a camera raw file (convert it to JPEG to use it)"
        result.ignored.append(Ignored(file=_spell_out(entry.file), reason=reason))
    elif not _is_text(entry.file):
        result.unreadable.append(Unreadable(file=_spell_out(entry.file), reason=BAD_NAME))
    else:
        return False
    return True


def _are_split_folders(entries: Sequence[Entry]) -> bool:
    """Whether the top folders are the user's own split; a class may be called "train" beside other classes."""
    tops = {entry.file.split("/")[0].casefold() for entry in entries if "/" in entry.file and not entry.obstacle}
    parts = {PART_NAMES[top] for top in tops if top in PART_NAMES}
    return "train" in parts and (len(parts) > 1 or len(tops) == 1)


def _find_listed(root: Path, table: Path, written: str, found: dict[str, Entry], composed: dict[str, str]) -> str:
    """The path below `root` of a file as a table writes it, with either slash and either Unicode form."""
    candidates = []
    for name in dict.fromkeys((written, written.replace("\\", "/"))):
        path = os.path.relpath(os.path.join(table.parent, name), root)  # noqa: PTH118 - joins text, also absolute paths
        candidates.append(Path(path).as_posix())
    for file in candidates:
        if file in found:
            return file
    for file in candidates:
        if unicodedata.normalize("NFC", file) in composed:
            return composed[unicodedata.normalize("NFC", file)]
    return candidates[0]


def _is_text(file: str) -> bool:
    try:
        file.encode()
    except UnicodeEncodeError:
        return False
    return True


def _spell_out(file: str) -> str:
    """The path with bytes that are no text written as hexadecimal escapes."""
    return os.fsencode(file).decode("utf-8", "backslashreplace")


Search = Callable[[str], "re.Match[str] | None"]

_HINT = "--group-by '([a-z]+\\d+)_' puts photos together whose names begin alike, as in nest07_003.jpg"


def has_column(table: Path, name: str) -> bool:
    """Whether the table of labels has a column of that name, in either case."""
    return name.strip().casefold() in read_header(table)


def group_candidates(candidates: Sequence[Candidate], pattern: str) -> list[Candidate]:
    """The candidates, those whose name matches with their group: the first capture group, or else the whole match.

    A pattern with a slash sees the path below the photos folder, any other the file's name alone. A photo that does
    not match belongs to no group.

    Raises:
        RecipeError: `pattern` is no regular expression, or no name matches it.
    """
    try:
        search = re.compile(pattern).search
    except re.error as error:
        raise RecipeError(
            f"--group-by {pattern}: no column of a table and no regular expression: {error}", _HINT
        ) from error
    grouped = [replace(candidate, group=_group_of(search, candidate.file, pattern)) for candidate in candidates]
    if candidates and not any(candidate.group for candidate in grouped):
        seen = _seen(candidates[0].file, pattern)
        raise RecipeError(f"--group-by {pattern}: matches no column of a table and no file name, such as {seen}", _HINT)
    return grouped


def _group_of(search: Search, file: str, pattern: str) -> str | None:
    found = search(_seen(file, pattern))
    if found is None:
        return None
    return next((text for text in found.groups()[:1] if text is not None), found[0]) or None


def _seen(file: str, pattern: str) -> str:
    return file if "/" in pattern else PurePosixPath(file).name
