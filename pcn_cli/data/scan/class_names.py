"""Names of classes: how they are spelled, and which two look the same."""

import re
import unicodedata
from collections.abc import Iterable

from pcn_cli.errors import DataError


def refuse_lookalikes(labels: Iterable[str]) -> None:
    """Raise a DataError where two class names, or folders on the way to them, look the same."""
    spellings: dict[str, str] = {}
    for label in sorted({unicodedata.normalize("NFC", label) for label in labels}):
        folders = label.split("/")
        for name in ("/".join(folders[: n + 1]) for n in range(len(folders))):
            other = spellings.setdefault(_look(name), name)
            if other != name:
                raise DataError(
                    f"the classes {other!r} and {name!r} differ only by {_tell_apart(other, name)}",
                    "rename one, or merge them",
                )


def clean_name(name: str) -> str:
    """The name as a class is called: composed Unicode, no spaces at its ends, single ordinary ones within."""
    return " ".join(_INVISIBLE.sub("", unicodedata.normalize("NFC", name)).split()) or name


_INVISIBLE = re.compile("[\u00ad\u200b\u2060\ufeff]")
_WHOLE = re.compile(r"^(\d+)\.0+$")  # as pandas writes whole numbers where a cell of their column is empty


def _look(name: str) -> str:
    spelled = (_WHOLE.sub(r"\1", clean_name(part.replace("_", " ")).casefold()) for part in name.split("/"))
    return unicodedata.normalize("NFC", "/".join(spelled))


def _tell_apart(one: str, other: str) -> str:
    """What two names that look the same differ by."""
    if one.casefold() == other.casefold():
        return "case"
    spaced = [[clean_name(part) for part in name.split("/")] for name in (one, other)]
    if any(_WHOLE.match(part) for name in spaced for part in name):
        return "how a number is written"
    return "spaces" if spaced[0] == spaced[1] else "spaces, case or _"
