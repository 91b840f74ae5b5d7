"""What people call the parts of a split, as folders and in tables: Training, seg_train, "test set", val2017 …"""

import re
import unicodedata
from collections.abc import Iterable

from pcn_cli.records.photos import Part

_WORDS: dict[str, Part] = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validate", "validation", "dev", "devel", "development"), "val"),
    **dict.fromkeys(("test", "testing", "tst", "holdout", "heldout"), "test"),
}
# Some call the validation so and some the test: it is the test, unless there is one already.
_EITHER = ("eval", "evaluation")
# What may stand beside the word and says nothing; sizes and colours do, as in "small train".
_BESIDE = (
    "images?|imgs?|photos?|pictures?|pics?|files?|data|datasets?|sets?|splits?|parts?|folder|dir|samples?"
    "|seg|cls|classification|x|public|private|jpe?g|png"
)
_PART = re.compile(rf"(?:{_BESIDE})*({'|'.join((*_WORDS, *_EITHER))})(?:{_BESIDE})*")


def read_parts(names: Iterable[str]) -> dict[str, Part]:
    """The part that each of the names means; names that mean none are left out."""
    words = {name: found[1] for name in names if (found := _PART.fullmatch(_letters(name)))}
    parts = {name: _WORDS[word] for name, word in words.items() if word in _WORDS}
    either: Part = "val" if "test" in parts.values() else "test"
    return {name: parts.get(name, either) for name in words}


def speaks_of_part(name: str) -> bool:
    """Whether a word for a part stands in the name, also beside words that say something else, as in trainA."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", unicodedata.normalize("NFKC", name))
    return any(word.casefold() in _WORDS or word.casefold() in _EITHER for word in words)


def asks_of_part(name: str) -> bool:
    """Whether a column of that name would say yes or no to one part, as is_valid and in_test do."""
    return _letters(name).startswith(("is", "in")) and bool(read_parts([_letters(name)[2:]]))


def _letters(name: str) -> str:
    """The letters of a name in lower case: test1, Test-1 and "test " are all test."""
    return re.sub(r"[\W\d_]+", "", unicodedata.normalize("NFKC", name).casefold())
