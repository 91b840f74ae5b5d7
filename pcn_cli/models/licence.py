"""Licences of weights: which of them forbid commercial use, as far as their names tell."""

import re

from pcn_cli.errors import ModelError
from pcn_cli.models.sources.base import Source

# CC BY-NC, FAIR's and others' "non-commercial" and "research" terms; Apple's AMLR and Meta's SEER allow research only.
_NON_COMMERCIAL = re.compile(r"\b(nc|non-?commercial|research|amlr|seer)\b")


def is_non_commercial(licence: str) -> bool:
    """Whether a licence of that name forbids commercial use."""
    return _NON_COMMERCIAL.search(re.sub(r"[\s_]+", "-", licence.lower())) is not None


def check_licence(source: Source, *, accepted: bool) -> str:
    """The name of the licence of the source's weights, "unknown" where nothing tells.

    Raises:
        ModelError: it forbids commercial use, and was not accepted.
    """
    licence = source.config().licence
    if is_non_commercial(licence) and not accepted:
        raise ModelError(
            f"the weights of {source.name} are under {licence}, which forbids commercial use",
            "if that suits you, add --accept-licence; otherwise name another model: pcn models list",
        )
    return licence or "unknown"
