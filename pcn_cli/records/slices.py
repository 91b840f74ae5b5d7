"""Which kinds of photos, told by other things than their class, are answered worse than others."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class Slice:
    """The measured photos of which `fact` (folder, group, file size, a column of the table …) is `name`.

    `wrong` of `photos` are answered wrong; `expected` would be if those of each class were answered as all of their
    class. `p_value` is that of so many or more mistakes, `adjusted` after the correction for all slices that were
    looked at; `shown` where it is below the level.
    """

    fact: str
    name: str
    photos: int
    wrong: int
    expected: float
    p_value: float
    adjusted: float
    shown: bool


@dataclass(frozen=True, kw_only=True)
class Slices:
    """All slices that have enough photos, the surest to be worse first, tested together at `level`."""

    ARTIFACT: ClassVar = "slices.json"
    level: float
    correction: str
    slices: tuple[Slice, ...]

    @property
    def worse(self) -> tuple[Slice, ...]:
        """Those that are answered worse beyond chance."""
        return tuple(one for one in self.slices if one.shown)
