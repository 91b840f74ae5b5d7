"""What a run changed of the one that it began with, or took its parts from."""

from collections.abc import Sequence

from pcn_cli.errors import PcnError
from pcn_cli.metrics.change import find_change
from pcn_cli.recipe.schema import Recipe
from pcn_cli.records.change import Change
from pcn_cli.records.photos import SplitRow
from pcn_cli.records.predictions import Prediction
from pcn_cli.runs.predictions import read_predictions
from pcn_cli.runs.rundir import RunDir, open_run
from pcn_cli.runs.store import CHANGE, read_split
from pcn_cli.stages.earlier_runs import find_start


def measure_change(
    run: RunDir, recipe: Recipe, rows: Sequence[SplitRow], predictions: Sequence[Prediction]
) -> Change | None:
    """What differs from that run, now written into this one; None where there is none, or it can be read no more."""
    if any(row.multi_label for row in rows):
        return None
    try:
        asked = recipe.split.split_from
        earlier = find_start(recipe) or (open_run(asked) if asked else None)
        if earlier is None or earlier.root.resolve() == run.root.resolve():
            return None
        old_rows, (said, _) = read_split(earlier), read_predictions(earlier.predictions)
        hashes = {row.file: row.sha256 for row in old_rows}
        said_before = {hashes[one.file]: one.predicted for one in said}
    except (PcnError, OSError, ValueError, KeyError, StopIteration):  # it was removed, or is of another kind
        return None
    if any(row.multi_label for row in old_rows):
        return None
    change = find_change(earlier.root.name, old_rows, rows, said_before=said_before, predictions=predictions)
    CHANGE.write(run, change)
    return change
