"""Lengths of time as people write them: 90s, 20m, 1h30m."""

import re

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m(?:in)?)?(?:(\d+(?:\.\d+)?)s)?", re.IGNORECASE)


def parse_duration(text: str) -> float:
    """The seconds in a text such as 90s, 20m, 2h or 1h30m.

    Raises:
        ValueError: it is not such a text, or no time at all.
    """
    match = _DURATION.fullmatch(text.replace(" ", ""))
    seconds = sum(float(n) * unit for n, unit in zip(match.groups("0"), _UNITS.values(), strict=True)) if match else 0.0
    if seconds <= 0:
        raise ValueError(f"should be a length of time with its unit, such as 90s, 20m or 1h30m, found {text!r}")
    return seconds
