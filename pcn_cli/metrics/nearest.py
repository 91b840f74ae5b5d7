"""The known photos most like a photo, of its label and of what it looks like."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pcn_cli.metrics.unlike import unit_length

NEAREST = 2  # of each class


def find_nearest(
    features: NDArray[np.float32],
    wanted: Sequence[Sequence[str]],
    *,
    known: NDArray[np.float32],
    labels: Sequence[str],
    own: Sequence[int | None],
) -> list[list[int]]:
    """The places among `known` (M, C) of the nearest of each wanted class, for each row of `features` (N, C).

    `labels` (M,) are of the known photos, `own` (N,) the place of the photo itself, which is no neighbour.
    """
    names, found = np.asarray(labels), []
    directions, others = unit_length(features), unit_length(known)
    for row, classes, place in zip(directions, wanted, own, strict=True):
        alike = others @ row
        if place is not None:
            alike[place] = -np.inf
        chosen: list[int] = []
        for name in dict.fromkeys(classes):
            places = np.flatnonzero((names == name) & np.isfinite(alike))
            chosen += places[np.argsort(-alike[places], kind="stable")[:NEAREST]].tolist()
        found.append(chosen)
    return found
