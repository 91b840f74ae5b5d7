"""Whether new photos are like those that a model was measured on, and what is different."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class Differing:
    """Something that can be said of every photo, such as brightness, with its middle value `before` and `now`."""

    name: str
    before: float
    now: float


@dataclass(frozen=True, kw_only=True)
class Shift:
    """How `photos` new photos compare with `reference` ones that nothing was learned from.

    `p_value` is of a test that both come from one source; `found` where it is below the level that was set, or where
    a class is answered more or less often than before. `differing` and `classes` (shares of answers) hold what differs
    for itself, the most first; `shows` are the new photos that show it most; `unlike` is the share of new photos that
    are unlike anything learned.
    """

    ARTIFACT: ClassVar = "shift.json"
    photos: int
    reference: int
    p_value: float
    found: bool
    unlike: float | None
    differing: tuple[Differing, ...]
    classes: tuple[Differing, ...]
    shows: tuple[str, ...]
    sentence: str
