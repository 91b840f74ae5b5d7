"""Which photos the user says belong together: by a column of the table, or by a pattern of the file names."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from pcn_cli.data.scan.labels import read_header
from pcn_cli.data.scan.layouts import Candidate
from pcn_cli.errors import RecipeError

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
