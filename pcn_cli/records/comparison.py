"""What two runs say of the same photos."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from pcn_cli.records.metrics import Metric


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One number of both runs on the photos they share, and the second less the first with its interval."""

    key: str
    title: str
    first: float
    second: float
    difference: Metric


@dataclass(frozen=True, kw_only=True)
class Flip:
    """A photo that the runs answer differently; `right` is which of them has the label, "" where neither has."""

    file: str
    label: str
    first: str
    second: str
    right: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two runs on the `photos` test photos that both have; `first` and `second` are the runs' folders.

    `only_first` and `only_second` count test photos of one run that the other did not measure; `first_right` and
    `second_right` photos that this run alone has right, `p_value` is McNemar's for these two being equally likely.
    """

    first: str
    second: str
    photos: int
    only_first: int
    only_second: int
    differences: tuple[Difference, ...]
    first_right: int
    second_right: int
    p_value: float
    verdict: str
    flips: tuple[Flip, ...]

    def plain(self) -> dict[str, Any]:
        """The comparison as JSON."""
        return asdict(self)

    def table(self) -> list[tuple[str, ...]]:
        """The flips with a header, for CSV."""
        names = tuple(field.name for field in fields(Flip))
        return [names, *(tuple(getattr(flip, name) for name in names) for flip in self.flips)]
