"""A look map as text: one byte per patch, on the scale of log2 lift that the page paints with.

Lift is n times an even spread. Byte 0 is less than 1/16 ×, bytes 1 … 255 run from 2⁻⁴ to 2¹⁰ in equal steps of log2, so
that a value comes back within 2 %.
"""

import base64

import numpy as np
from numpy.typing import NDArray

LOWEST, HIGHEST = -4.0, 10.0  # log2 lift; 2¹⁰ is a whole look in one patch of a 32 × 32 grid
FULL_LIFT = 8.0


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
    """The lift that the page reads from the bytes; the same arithmetic as in static/maps.js."""
    lift = 2.0 ** ((bytes_.astype(np.float64) - 1) / 254 * (HIGHEST - LOWEST) + LOWEST)
    return np.where(bytes_ == 0, 0.0, lift)


def as_text(bytes_: NDArray[np.uint8] | NDArray[np.int8]) -> str:
    """The bytes as base64."""
    return base64.b64encode(bytes_.tobytes()).decode("ascii")


class ScaleTop:
    """The lift drawn at full strength over a whole report, gathered map by map in constant memory."""

    def __init__(self) -> None:
        self._counts = np.zeros(256, dtype=np.int64)

    def add(self, bytes_: NDArray[np.uint8]) -> None:
        """Count one more map."""
        self._counts += np.bincount(bytes_.ravel(), minlength=256)

    @property
    def value(self) -> float:
        """max(8×, the 99.5th percentile of all patches)."""
        held = np.cumsum(self._counts)
        if held[-1] == 0:
            return FULL_LIFT
        byte = np.searchsorted(held, 0.995 * held[-1])
        return max(FULL_LIFT, float(decode_lift(np.array([byte], dtype=np.uint8))[0]))
