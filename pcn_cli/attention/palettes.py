"""The colour scales of maps: for heat 17 even steps of matplotlib's cividis, inferno and viridis, which all grow evenly
in lightness; for signed maps ColorBrewer's PuOr. Between the steps colours are interpolated. Never jet.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Palette = Literal["inferno", "cividis", "viridis"]

_STEPS: dict[Palette, str] = {
    "inferno": "000004 0b0724 210c4a 3d0965 57106e 71196e 8a226a a32c61 bc3754"
    " d24644 e45a31 f1731d f98e09 fcac11 f9cb35 f2ea69 fcffa4",
    "cividis": "00224e 002e6a 1a386f 32436d 434e6c 535a6d 61656f 6f7073 7d7c78"
    " 8c8878 9b9476 aba072 bcae6c cdbb63 dec958 f0d846 fee838",
    "viridis": "440154 481b6d 472d7b 3f4788 3b528b 33638d 2c728e 26828e 21918c"
    " 1fa088 28ae80 3fbc73 5ec962 84d44b addc30 d8e219 fde725",
}

# From the middle to the last step but one: the last is too dark to be told on a photo.
_ORANGES = "f7f7f7 fee0b6 fdb863 e08214 b35806"
_PURPLES = "f7f7f7 d8daeb b2abd2 8073ac 542788"


def color_of(strength: NDArray[np.floating], palette: Palette) -> NDArray[np.float32]:
    """The colours of strengths in [0, 1], (…, 3) in 0 … 255."""
    return _interpolate(_STEPS[palette], np.asarray(strength))


def signed_color_of(strength: NDArray[np.floating]) -> NDArray[np.float32]:
    """The colours of strengths in [−1, 1], (…, 3) in 0 … 255: orange above 0, purple below, both pale near it."""
    steps = 0.35 + 0.65 * np.abs(strength)
    above = np.asarray(strength)[..., None] >= 0
    return np.where(above, _interpolate(_ORANGES, steps), _interpolate(_PURPLES, steps))


def _interpolate(palette: str, strength: NDArray[np.floating]) -> NDArray[np.float32]:
    steps = np.array([list(bytes.fromhex(step)) for step in palette.split()], dtype=np.float32)
    fine = np.stack([np.interp(np.linspace(0, 1, 256), np.linspace(0, 1, len(steps)), channel) for channel in steps.T])
    levels = np.clip(strength * 255 + 0.5, 0, 255).astype(np.uint8)
    colors: NDArray[np.float32] = fine.T.astype(np.float32)[levels]
    return colors
