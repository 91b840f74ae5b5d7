"""neighbours.csv: photos of two parts that the network finds as good as the same, and the perceptual hash did not."""

from collections.abc import Sequence
from dataclasses import astuple, fields

import numpy as np
from numpy.typing import NDArray

from pcn_cli.data.similar.neighbours import find_neighbours
from pcn_cli.files.atomic import read_csv, write_csv
from pcn_cli.records.codec import from_plain
from pcn_cli.records.photos import SplitRow, Tie
from pcn_cli.runs.rundir import RunDir


def write_neighbours(
    run: RunDir, rows: Sequence[SplitRow], features: NDArray[np.float32], units: NDArray[np.int64]
) -> None:
    """Put the pairs that stand in two parts into the run; `units` (N,) are equal where photos are known to be tied."""
    _, targets = np.unique([row.label for row in rows], return_inverse=True)
    ties = [
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
    ]
    write_csv(run.neighbours, [field.name for field in fields(Tie)], [astuple(tie) for tie in ties])


def read_neighbours(run: RunDir) -> tuple[Tie, ...]:
    """What `write_neighbours` put into the run; none where nobody looked."""
    if not run.neighbours.is_file():
        return ()
    return tuple(from_plain(Tie, cells) for cells in read_csv(run.neighbours))
