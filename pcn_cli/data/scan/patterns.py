"""What a regular expression takes from the names of files: their group, or their class."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from pcn_cli.errors import RecipeError


def match_names(files: Sequence[str], pattern: str, *, flag: str, hint: str, also: str = "") -> list[str | None]:
    """What the pattern finds in each name: its first capture group, or else the whole match; None where it is nothing.

    A pattern with a slash sees the path below the photos folder, any other the file's name alone.

    Raises:
        RecipeError: it is no regular expression, or matches no name; the message names the `flag`, and what
            `also` was looked for.
    """
    try:
        search = re.compile(pattern).search
    except re.error as error:
        raise RecipeError(f"{flag} {pattern}:{also} no regular expression: {error}", hint) from error
    names = files if "/" in pattern else [PurePosixPath(file).name for file in files]
    found = []
    for name in names:
        match = search(name)
        # A capture group that took no part in the match says None.
        text = next((text for text in match.groups()[:1] if text is not None), match[0]) if match else None
        found.append(text or None)
    if found and not any(found):
        raise RecipeError(f"{flag} {pattern}: matches{also} no file name, such as {names[0]}", hint)
    return found
