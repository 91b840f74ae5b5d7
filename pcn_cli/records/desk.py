"""Photos to decide about, as the report's page Desk shows them."""

from dataclasses import dataclass
from typing import ClassVar

MOST_CARDS = 150


@dataclass(frozen=True, kw_only=True)
class Near:
    """A photo that is like another, by its path below the photos folder or an absolute one, and its label."""

    file: str
    label: str


@dataclass(frozen=True, kw_only=True)
class Card:
    """A photo with its `label` ("" where it has none), what it `looks_like`, and `why` it is here.

    `near` are known photos most like it: of its label first, then of what it looks like.
    """

    file: str
    sha256: str
    looks_like: str
    why: str
    split: str = ""
    label: str = ""
    p_label: float | None = None
    p_looks_like: float | None = None
    near: tuple[Near, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Desk:
    """The cards in the order to look at them, the classes to choose from, and what to type once they are decided.

    `folder` is that of photos which are not among those that were learned from, as seen from where pcn is typed.
    """

    ARTIFACT: ClassVar = "desk.json"
    cards: tuple[Card, ...]
    classes: tuple[str, ...]
    command: str
    folder: str = ""
    more: int = 0
