"""Names of classes: how they are spelled, and which two look the same."""

import re
import unicodedata
from collections.abc import Iterable

from pcn_cli.errors import DataError


def refuse_lookalikes(labels: Iterable[str]) -> None:
    """Raise a DataError where two class names, or folders on the way to them, look the same to a person.

    They may differ by case, spaces or _, by signs that cannot be seen, or by letters of two alphabets.
    """
    spellings: dict[str, str] = {}
    for label in sorted({unicodedata.normalize("NFC", label) for label in labels}):
        folders = label.split("/")
        for name in ("/".join(folders[: n + 1]) for n in range(len(folders))):
            for look in (_fold(name), _fold(_picture(name))):
                other = spellings.setdefault(look, name)
                if other != name:
                    raise DataError(
                        f"the classes {other!r} and {name!r} differ only by {_tell_apart(other, name)}",
                        "rename one, or merge them",
                    )


def clean_name(name: str) -> str:
    """The name as a class is called: composed Unicode, no spaces at its ends, single ordinary ones within."""
    return " ".join(_NO_WIDTH.sub("", unicodedata.normalize("NFC", name)).split()) or name


_NO_WIDTH = re.compile("[\u00ad\u200b\u2060\ufeff]")
# As pandas writes whole numbers where a cell of their column is empty, and spreadsheets those that begin with zeros.
_WHOLE = re.compile(r"^0*(\d+)(\.0+)?$")
# What has a meaning somewhere (it joins letters, turns their direction, colours an emoji), but is not seen in a name.
_UNSEEN = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u034f\u061c\u180e\u200c-\u200f\u202a-\u202e\u2061-\u206f\ufe00-\ufe0f]"
)
_ALIKE = {
    ord(sign): seen
    for signs, plain in (
        ("АВЕЅІЈКМНОРСТУХԚԜ", "ABESIJKMHOPCTYXQW"),  # Cyrillic
        ("аеѕіјорсухһԁԛԝ", "aesijopcyxhdqw"),
        ("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧο", "ABEZHIKMNOPTYXo"),  # Greek
        ("‐‑‒–−‘’ʼ′“”", "-----''''\"\""),
        ("\u115f\u1160\u2800\u3164\uffa0", "     "),  # letters that look like a space
    )
    for sign, seen in zip(signs, plain, strict=True)
}


def _picture(name: str) -> str:
    """The name as a person sees it, whichever signs it is written with."""
    return _UNSEEN.sub("", name).translate(_ALIKE)


def _fold(name: str) -> str:
    """The name without what case, spaces, _ and the digits of a whole number add to it."""
    spelled = (_WHOLE.sub(r"\1", clean_name(part.replace("_", " ")).casefold()) for part in name.split("/"))
    return unicodedata.normalize("NFC", "/".join(spelled))


def _tell_apart(one: str, other: str) -> str:
    """What two names that look the same differ by."""
    if one.casefold() == other.casefold():
        return "case"
    spaced = [[clean_name(part) for part in name.split("/")] for name in (one, other)]
    if spaced[0] == spaced[1]:
        return "spaces"
    if any(_WHOLE.match(part) for name in spaced for part in name):
        return "how a number is written"
    if _fold(one) == _fold(other):
        return "spaces, case or _"
    odd = [sign for sign in sorted({*one} ^ {*other}) if _picture(sign) != sign]
    named = (f"U+{ord(sign):04X} {unicodedata.name(sign, '')}".strip() for sign in odd)
    return f"what cannot be seen: {', '.join(named)}"
