"""figures/: static charts of the numbers, as PNG and SVG."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pcn_cli.metrics.figures import draw_confusion, draw_history, draw_per_class
from pcn_cli.records.metrics import ClassRow
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.store import HISTORY


def draw_figures(
    run: RunDir, matrix: NDArray[np.int64] | None, classes: Sequence[str], per_class: Sequence[ClassRow]
) -> None:
    """Draw the confusion matrix, where there is one, the classes and, where something was trained, its curves."""
    if matrix is not None:
        draw_confusion(matrix, classes, stem=run.figures / "confusion")
    draw_per_class(per_class, stem=run.figures / "per_class")
    history = HISTORY.read(run)
    if history:
        draw_history(history, stem=run.figures / "history")
