"""Numbers that say where they come from."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A measured value with its 95 % interval where one is known, the number of photos, and how it was computed."""

    value: float
    n: int
    method: str
    ci_low: float | None = None
    ci_high: float | None = None


@dataclass(frozen=True, kw_only=True)
class ClassRow:
    """One class in the per-class table; precision is None where the class was never predicted."""

    label: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: int


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something a person should know, with its evidence and what to do about it."""

    severity: str  # "warning" or "note"
    title: str
    evidence: str
    remedy: str = ""
