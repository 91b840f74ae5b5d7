"""Split: which photo trains, which selects, which is only ever measured; settled once, checked again at every use."""

from pathlib import Path

from pcn_cli.data.split import check_split, read_split, split_scan
from pcn_cli.errors import DataError, RunError
from pcn_cli.recipe.schema import Recipe
from pcn_cli.records.photos import Scan, SplitRow
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.state import read_record, require


def divide(scan: Scan, recipe: Recipe) -> tuple[SplitRow, ...]:
    """Each photo with its part.

    Raises:
        DataError: a part would be empty.
    """
    rows = split_scan(scan, seed=recipe.seed, val=recipe.split.val or 0.0, test=recipe.split.test or 0.0)
    for part, name in (("train", "training"), ("val", "validation"), ("test", "the test")):
        if not any(row.split == part for row in rows):
            raise DataError(
                f"no photo is left for {name}: {len(rows)} photos are too few to be divided",
                "add photos: every class needs at least three that differ",
            )
    return rows


def read_unchanged(run: RunDir) -> tuple[SplitRow, ...]:
    """The split of the run, every photo of which is still what it was.

    Raises:
        RunError: photos changed; with the differences, at most ten of them.
    """
    rows = read_split(require(run, run.split, "start again with `pcn finetune PHOTOS`"))
    root = Path(read_record(run).photos)
    problems = check_split(rows, root)
    if problems:
        listed = [*problems[:10], *([f"… and {len(problems) - 10} more"] if len(problems) > 10 else [])]
        raise RunError(
            "\n  ".join([f"the photos of {run.root} have changed since its split:", *listed]),
            f"put them back, or start a new run with `pcn finetune {root}`",
        )
    return rows
