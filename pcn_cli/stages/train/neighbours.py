"""Neighbours: photos of two parts that the network finds as good as the same, and the perceptual hash did not."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pcn_cli.data.similar.neighbours import find_neighbours
from pcn_cli.records.photos import SplitRow, Tie


def tie_neighbours(
    rows: Sequence[SplitRow], features: NDArray[np.float32], units: NDArray[np.int64]
) -> tuple[Tie, ...]:
    """The pairs of `rows` that stand in two parts; `units` (N,) are equal where photos are known to be tied."""
    _, targets = np.unique([row.label for row in rows], return_inverse=True)
    return tuple(
        Tie(
            kind="alike",
            file=rows[first].file,
            label=rows[first].label,
            part=rows[first].split,
            other=rows[second].file,
            other_label=rows[second].label,
            other_part=rows[second].split,
        )
        for first, second in find_neighbours(features, targets, units)
        if rows[first].split != rows[second].split
    )
