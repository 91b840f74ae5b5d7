"""Signed maps as text: one signed byte per patch and the value of the largest; curves as two bytes per point."""

import base64

import numpy as np
from numpy.typing import NDArray

_STEPS = 127
_OCTAVES, _PER_OCTAVE = (-20, 12), 16  # of the histogram; within 5 %


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


def decode_signed(top: float, bytes_: NDArray[np.int8]) -> NDArray[np.float64]:
    """The values that the page reads from the bytes; the same arithmetic as in static/signed.js."""
    return bytes_.astype(np.float64) * top / _STEPS


def curves_as_text(*curves: NDArray[np.floating]) -> str:
    """Probabilities as base64, two bytes each, the lower first, one curve after the other."""
    points = np.rint(np.clip(np.concatenate(curves).astype(np.float64), 0, 1) * 65535)
    return base64.b64encode(points.astype("<u2").tobytes()).decode("ascii")


class SignedTop:
    """The value drawn at full strength over a whole report, gathered map by map in constant memory."""

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
    def value(self) -> float:
        """The 99.5th percentile of all absolute values; 1 where there are none."""
        held = np.cumsum(self._counts)
        if held[-1] == 0:
            return 1.0
        place = int(np.searchsorted(held, 0.995 * held[-1])) + 1
        return float(2.0 ** (_OCTAVES[0] + place / _PER_OCTAVE))
