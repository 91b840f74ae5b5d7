"""What would give photos a label that no folder names: a table that lies there, or the names of the files."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from pcn_cli.data.scan.content import promises_image
from pcn_cli.errors import DataError, command

LAYOUT_HINT = "put the photos of each class into a folder named after it, or give a table with --labels FILE"

_ANNOTATIONS = re.compile(r"(^|/)(labels?|annotations?)/.*\.(txt|xml|json)$", re.IGNORECASE)
_TELLING = re.compile("train|label", re.IGNORECASE)
_TO_HAND_IN = re.compile(r"submi[^/]*$|(^|/)test[^/]*$", re.IGNORECASE)  # its labels are made up, or missing
# The class in a file's name: before its number (cat.0.jpg), or after it (0001_cat.jpg).
_IN_NAMES = (r"^(.*?[^\W\d_])[ ._()-]*\d+[)]?\.", r"^\d+[ ._-]+(.*?)\.")


def refuse_unlabelled(root: Path, files: Sequence[str], entries: Mapping[str, str], reasons: str) -> None:
    """Raise the DataError of photos without any label; the hint names what would give them one.

    `files` are those that may be photos, `reasons` why none has a label.
    """
    labels = sorted(file for file in entries if _ANNOTATIONS.search(file))
    if labels:
        raise DataError(
            f"no photo in {root} lies in a class folder: {reasons}. {labels[0]} is for detection",
            f"pcn names what is on a whole photo: {LAYOUT_HINT}",
        )
    raise DataError(f"no photo in {root} has a label: {reasons}", suggest_labelling(root, files, entries))


def suggest_labelling(root: Path, files: Sequence[str], entries: Iterable[str] = ()) -> str:
    """What to type where folders name no classes: a table that lies there, or the class in the names of the files."""
    tables = [file for file in entries if file.count("/") < 2 and file.lower().endswith((".csv", ".tsv"))]
    tables = [file for file in tables if not _TO_HAND_IN.search(file)]
    if tables:
        first = min(tables, key=lambda file: (not _TELLING.search(file), file))
        alike = sum(PurePosixPath(file).name == PurePosixPath(first).name for file in tables)
        more = f" (of {alike} of that name: join them, with a column split, for all to count)" if alike > 1 else ""
        shown = command("inspect", root, "--labels", root / first)
        return f"{shown} shows what that table says{more}; or {LAYOUT_HINT}"
    pattern, classes = guess_label_from(files)
    if pattern:
        shown = command("inspect", root, "--label-from", pattern)
        return f"{shown} takes the class from the name: {name_some(classes)}; or {LAYOUT_HINT}"
    return LAYOUT_HINT


def guess_label_from(files: Sequence[str]) -> tuple[str, list[str]]:
    """A pattern that finds a class in the names of most files, and these classes; an empty one where none does."""
    names = [PurePosixPath(file).name for file in files if promises_image(file)]
    for pattern in _IN_NAMES:
        found = [match[1] for name in names if (match := re.search(pattern, name))]
        classes = sorted(set(found))
        if len(classes) > 1 and len(found) >= max(0.5 * len(names), 2 * len(classes)):
            return pattern, classes
    return "", []


def name_some(names: Sequence[str]) -> str:
    """The first three names, and how many more there are."""
    more = f" and {len(names) - _SOME} more" if len(names) > _SOME else ""
    return f"{', '.join(names[:_SOME])}{more}"


_SOME = 3
