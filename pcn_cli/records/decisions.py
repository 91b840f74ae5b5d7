"""What a person decided about photos: a table that the report's desk and any spreadsheet can write."""

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

Verdict = Literal["keep", "change", "remove", "add"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One photo's: `keep` its label, `change` it to `new_label`, `remove` the photo, or `add` one with `new_label`.

    `file` is a path below the photos folder, of a photo to add one below `folder`, which counts from where the command
    is typed. With its `sha256` a photo is found under another name as well. `label` is the one that was decided about.
    """

    ARTIFACT: ClassVar = "decisions.csv"
    file: str
    sha256: str = ""
    label: str = ""
    decision: Verdict
    new_label: str = ""
    folder: str = ""

    @property
    def photo(self) -> str:
        """What tells the photo from others."""
        return self.sha256 or self.file
