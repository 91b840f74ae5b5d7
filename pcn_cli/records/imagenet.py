"""What a model reached on ImageNet's validation photos, by the ways of preparing and computing that were tried."""

from dataclasses import dataclass

from pcn_cli.records.arithmetic import AutocastPrecision as AutocastPrecision

# Published figures are rounded to a tenth of a per cent.
ROUNDING = 0.05
WHOLE = 50_000  # photos of ImageNet's validation part


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """One way to measure, by the crop's share of the shorter side and the precision; figures are in per cent."""

    crop_pct: float
    precision: AutocastPrecision
    top1: float
    top5: float
    low: float
    high: float

    def reproduces(self, published: float | None) -> bool:
        """Whether the published top-1, which is rounded, may be this figure."""
        return published is not None and abs(self.top1 - published) <= ROUNDING + 1e-6


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """What was measured of a card on so many `photos` of ImageNet; `weights_sha256` says of which weights.

    `crop_pct` is the ratio that the card has been given by it, None where it was not.
    """

    card: str
    weights_sha256: str
    device: str
    photos: int
    synsets: int
    published: float | None
    protocols: tuple[Protocol, ...]
    unreadable: int = 0
    crop_pct: float | None = None
    recorded: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether these are all photos of the validation part, which a published figure is of."""
        return self.photos == WHOLE

    @property
    def matching(self) -> tuple[Protocol, ...]:
        """The protocols that reproduce the published figure, the nearest first; none where photos were missing."""
        if not self.is_whole or self.published is None:
            return ()
        goal = self.published
        found = [one for one in self.protocols if one.reproduces(goal)]
        return tuple(sorted(found, key=lambda one: abs(one.top1 - goal)))
