"""Maps as text for the page: looks as lift, evidence as signed values, one byte per patch; curves, two bytes a point.

Lift is n times an even spread. Byte 0 is less than 1/16 ×, bytes 1 … 255 run from 2⁻⁴ to 2¹⁰ in equal steps of log2, so
that a value comes back within 2 %. A signed byte is −127 … 127 of the map's largest absolute value.
"""

import base64
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from pcn_cli.records.predictions import FULL_LIFT

LOWEST, HIGHEST = -4.0, 10.0  # log2 lift; 2¹⁰ is a whole look in one patch of a 32 × 32 grid
FULL_SHARE = 0.995  # of all patches of a report: where its colour scales end
_STEPS = 127
_OCTAVES, _PER_OCTAVE = (-20, 12), 16  # of the histogram of signed values; within 5 %


def encode_look(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """The lift of every patch as a byte, (h, w); a ValueError unless the values are a grid, finite and ≥ 0."""
    look = np.asarray(values, dtype=np.float64)
    if look.ndim != 2 or look.size == 0 or not (look.min() >= 0 and look.max() < np.inf):  # nor with NaN
        raise ValueError(f"expected a grid of finite values ≥ 0, found shape {look.shape}")
    total = look.sum()
    lift = look * (look.size / total) if total > 0 else np.ones_like(look)
    steps = (np.log2(np.maximum(lift, 2.0 ** (LOWEST - 1))) - LOWEST) / (HIGHEST - LOWEST) * 254 + 1
    return np.where(lift < 2.0**LOWEST, 0, np.minimum(np.rint(steps), 255)).astype(np.uint8)


def decode_lift(bytes_: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The lift that the page reads from the bytes, by the arithmetic of static/maps.js."""
    lift = 2.0 ** ((bytes_.astype(np.float64) - 1) / 254 * (HIGHEST - LOWEST) + LOWEST)
    return np.where(bytes_ == 0, 0.0, lift)


def encode_signed(values: NDArray[np.floating]) -> tuple[float, NDArray[np.int8]]:
    """The largest absolute value, and every value as a byte in −127 … 127 of it, (h, w).

    A ValueError unless the values are a grid and finite.
    """
    given = np.asarray(values, dtype=np.float64)
    if given.ndim != 2 or given.size == 0 or not np.isfinite(given).all():
        raise ValueError(f"expected a grid of finite values, found shape {given.shape}")
    top = float(f"{np.abs(given).max():.4g}")
    steps = np.rint(given / top * _STEPS) if top > 0 else np.zeros_like(given)
    return top, np.clip(steps, -_STEPS, _STEPS).astype(np.int8)


def as_text(bytes_: NDArray[np.uint8] | NDArray[np.int8]) -> str:
    """The bytes as base64."""
    return base64.b64encode(bytes_.tobytes()).decode("ascii")


def curves_as_text(*curves: NDArray[np.floating]) -> str:
    """Probabilities as base64, two bytes each, the lower first, one curve after the other."""
    points = np.rint(np.clip(np.concatenate(curves).astype(np.float64), 0, 1) * 65535)
    return base64.b64encode(points.astype("<u2").tobytes()).decode("ascii")


class ColourScale:
    """What is drawn at full strength over a whole report, gathered map by map in constant memory.

    That is the value of the bin up to which `FULL_SHARE` of all patches were counted, `least` where none was.
    """

    def __init__(self, values: NDArray[np.float64], *, least: float) -> None:
        self._values, self._least = values, least
        self._counts = np.zeros(len(values), dtype=np.int64)

    def add(self, bins: NDArray[np.integer]) -> None:
        """Count the bins of one more map's patches."""
        self._counts += np.bincount(bins.ravel(), minlength=len(self._counts))

    @property
    def top(self) -> float:
        """The value at full strength."""
        held = np.cumsum(self._counts)
        return float(self._values[np.searchsorted(held, FULL_SHARE * held[-1])]) if held[-1] else self._least


def new_lift_scale() -> ColourScale:
    """A scale for the bytes of looks, which reaches at least to 8×."""
    return ColourScale(np.maximum(decode_lift(np.arange(256, dtype=np.uint8)), FULL_LIFT), least=FULL_LIFT)


def new_signed_scale() -> ColourScale:
    """A scale for the `magnitude_bins` of signed maps."""
    steps = np.arange(1, (_OCTAVES[1] - _OCTAVES[0]) * _PER_OCTAVE + 1)
    return ColourScale(2.0 ** (_OCTAVES[0] + steps / _PER_OCTAVE), least=1.0)


def magnitude_bins(values: NDArray[np.floating]) -> NDArray[np.int64]:
    """The bin of every absolute value, 16 to an octave."""
    low, high = _OCTAVES
    octaves = np.clip(np.log2(np.maximum(np.abs(values), 2.0**low)), low, high - 1e-9)
    bins: NDArray[np.int64] = ((octaves - low) * _PER_OCTAVE).astype(np.int64)
    return bins


class MeanMaps:
    """The mean map of each class over the network's own square, gathered map by map; memory grows with the classes."""

    def __init__(self) -> None:
        self._sums: dict[str, NDArray[np.float64]] = {}
        self._counts: Counter[str] = Counter()

    def add(self, name: str, bytes_: NDArray[np.uint8]) -> None:
        """Count one more map of a class."""
        self._sums[name] = self._sums.get(name, 0) + decode_lift(bytes_)
        self._counts[name] += 1

    def plain(self, names: tuple[str, ...]) -> list[object]:
        """For each name its map's bytes, its grid (h, w) and how many maps it is the mean of; None without any."""
        return [
            {"map": as_text(encode_look(self._sums[name])), "grid": self._sums[name].shape, "of": self._counts[name]}
            if name in self._sums
            else None
            for name in names
        ]
