"""A report in the making: its content, its rows and what of them already lies in the folder."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pcn_cli.report.content import ReportContent
from pcn_cli.report.filters import Mark
from pcn_cli.report.pairs import PairList
from pcn_cli.report.rows import Row, Rows


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """The size in pixels of a written thumbnail, and whether a large picture lies beside it."""

    width: int
    height: int
    large: bool = False


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A chart as a file of the report."""

    name: str
    title: str
    path: str


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What the pages are drawn from; `pictures` and `overlays` are by row number, a missing one could not be opened.

    `seen` holds the pictures of the pairs, as paths in the report by file.
    """

    content: ReportContent
    rows: Rows
    pictures: Mapping[int, Picture] = field(default_factory=dict)
    overlays: frozenset[int] = frozenset()
    figures: tuple[Figure, ...] = ()
    full_lift: float = 8.0
    full_evidence: float = 1.0
    marks: tuple[Mark, ...] = ()
    pairs: tuple[PairList, ...] = ()
    seen: Mapping[str, str] = field(default_factory=dict)

    @property
    def without_picture(self) -> tuple[Row, ...]:
        """Rows whose picture could not be opened any more."""
        return tuple(row for row in self.rows.all if row.number not in self.pictures)
