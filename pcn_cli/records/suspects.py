"""Photos whose label a model that never learned from them finds hard to believe."""

from dataclasses import astuple, dataclass, fields
from typing import Any, get_type_hints


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """A photo whose label may be wrong; nothing is changed because of it.

    `rank` 1 is the most suspect, `suggested` the class that the photo looks like. `p_label` and `p_suggested` are the
    probabilities of a model that did not learn from the photo; the smaller `p_label`, the more suspect it is.
    """

    rank: int
    file: str
    split: str
    label: str
    suggested: str
    p_label: float
    p_suggested: float

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The column names, in order."""
        return tuple(field.name for field in fields(cls))

    @classmethod
    def from_cells(cls, cells: dict[str, str]) -> "Suspect":
        """The suspect that `cells` gave, by column name."""
        kinds: dict[str, Any] = get_type_hints(cls)
        return cls(**{name: kinds[name](cells[name]) for name in cls.names()})

    def cells(self) -> tuple[str | float | int, ...]:
        """The row for a table."""
        return astuple(self)
