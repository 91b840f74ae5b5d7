"""What was checked of the maps over a whole data set: can one trust them?"""

from dataclasses import dataclass
from typing import Literal

from pcn_cli.records.metrics import Metric


@dataclass(frozen=True, kw_only=True)
class TrustCheck:
    """One check; `values` are in display order, the first is the one measured, the others stand beside it.

    `key` names it for programs: uniform_attention, permuted_attention, order, parameter_randomisation, flip, pixels,
    pointing or energy. `question` is what it asks, `verdict` the plain answer; `outcome` is "good" where the maps pass,
    "bad" where they do not, and "open" where the numbers do not tell.
    """

    key: str
    question: str
    outcome: Literal["good", "bad", "open"]
    verdict: str
    values: dict[str, Metric]


@dataclass(frozen=True, kw_only=True)
class Trust:
    """All checks that were made, in display order; those on a sample used `sample` photos drawn from `seed`."""

    sample: int
    seed: int
    checks: tuple[TrustCheck, ...]
