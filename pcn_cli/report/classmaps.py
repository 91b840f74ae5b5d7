"""The mean map of a class: where the model looks in its pictures, over the network's own square."""

import numpy as np
from numpy.typing import NDArray

from pcn_cli.report.lookmaps import as_text, decode_lift, encode_look


class MeanMaps:
    """Mean maps by class, gathered picture by picture; memory does not grow with their number."""

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
