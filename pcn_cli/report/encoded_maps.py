"""Maps as text for the page: looks as lift, evidence as signed values, one byte per patch; curves, two bytes a point.

Lift is n times an even spread. Byte 0 is less than 1/16 ×, bytes 1 … 255 run from 2⁻⁴ to 2¹⁰ in equal steps of log2, so
that a value comes back within 2 %. A signed byte is −127 … 127 of the map's largest absolute value.
"""

import base64

import numpy as np
from numpy.typing import NDArray

from pcn_cli.records.attention import FULL_LIFT

LOWEST, HIGHEST = -4.0, 10.0  # log2 lift; 2¹⁰ is a whole look in one patch of a 32 × 32 grid
FULL_SHARE = 0.995  # of all patches of a report: where its colour scales end
_STEPS = 127
_OCTAVES, _PER_OCTAVE = (-20, 12), 16  # of the histogram of signed values; within 5 %


def encode_look(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """The lift of every patch as a byte, (h, w).

    Raises:
        ValueError: the values are not a grid, or not finite and ≥ 0.
    """
    look = np.asarray(values, dtype=np.float64)
    if look.ndim != 2 or look.size == 0 or not np.isfinite(look).all() or (look < 0).any():
        raise ValueError(f"expected a grid of finite values ≥ 0, found shape {look.shape}")
    total = look.sum()
    lift = look * (look.size / total) if total > 0 else np.ones_like(look)
    steps = (np.log2(np.maximum(lift, 2.0 ** (LOWEST - 1))) - LOWEST) / (HIGHEST - LOWEST) * 254 + 1
    return np.where(lift < 2.0**LOWEST, 0, np.clip(np.rint(steps), 1, 255)).astype(np.uint8)


def decode_lift(bytes_: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The lift that the page reads from the bytes, by the arithmetic of static/maps.js."""
    lift = 2.0 ** ((bytes_.astype(np.float64) - 1) / 254 * (HIGHEST - LOWEST) + LOWEST)
    return np.where(bytes_ == 0, 0.0, lift)


def encode_signed(values: NDArray[np.floating]) -> tuple[float, NDArray[np.int8]]:
    """The largest absolute value, and every value as a byte in −127 … 127 of it, (h, w).

    Raises:
        ValueError: the values are not a grid, or not finite.
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


class LiftScale:
    """The lift drawn at full strength over a whole report, gathered map by map in constant memory."""

    def __init__(self) -> None:
        self._counts = np.zeros(256, dtype=np.int64)

    def add(self, bytes_: NDArray[np.uint8]) -> None:
        """Count one more map."""
        self._counts += np.bincount(bytes_.ravel(), minlength=256)

    @property
    def top(self) -> float:
        """max(8×, the 99.5th percentile of all patches)."""
        byte = _percentile(self._counts)
        return FULL_LIFT if byte is None else max(FULL_LIFT, float(decode_lift(np.array([byte], dtype=np.uint8))[0]))


class SignedScale:
    """The signed value drawn at full strength over a whole report, gathered map by map in constant memory."""

    def __init__(self) -> None:
        low, high = _OCTAVES
        self._counts = np.zeros((high - low) * _PER_OCTAVE, dtype=np.int64)

    def add(self, values: NDArray[np.floating]) -> None:
        """Count one more map."""
        low, high = _OCTAVES
        octaves = np.clip(np.log2(np.maximum(np.abs(values), 2.0**low)), low, high - 1e-9)
        bins = ((octaves - low) * _PER_OCTAVE).astype(np.int64)
        self._counts += np.bincount(bins.ravel(), minlength=len(self._counts))

    @property
    def top(self) -> float:
        """The 99.5th percentile of all absolute values; 1 where there are none."""
        place = _percentile(self._counts)
        return 1.0 if place is None else float(2.0 ** (_OCTAVES[0] + (place + 1) / _PER_OCTAVE))


class MeanMaps:
    """The mean map of each class over the network's own square, gathered map by map; memory grows with the classes."""

    def __init__(self) -> None:
        self._sums: dict[str, NDArray[np.float64]] = {}
        self._counts: dict[str, int] = {}

    def add(self, name: str, bytes_: NDArray[np.uint8]) -> None:
        """Count one more map; one of another shape than the class's first is left out, for it cannot be added."""
        total = self._sums.setdefault(name, np.zeros(bytes_.shape))
        if total.shape == bytes_.shape:
            total += decode_lift(bytes_)
            self._counts[name] = self._counts.get(name, 0) + 1

    def plain(self, names: tuple[str, ...]) -> list[object]:
        """For each name its map's bytes, its grid (h, w) and how many maps it is the mean of; None without any."""
        return [
            {"map": as_text(encode_look(self._sums[name])), "grid": list(self._sums[name].shape), "of": count}
            if (count := self._counts.get(name, 0))
            else None
            for name in names
        ]


def _percentile(counts: NDArray[np.int64]) -> int | None:
    """The bin up to which `FULL_SHARE` of everything was counted; None where nothing was."""
    held = np.cumsum(counts)
    return int(np.searchsorted(held, FULL_SHARE * held[-1])) if held[-1] else None
