"""folds.csv: what cross-validation answered to every photo, in the order of the parts."""

from collections.abc import Sequence

from pcn_cli.files.atomic import read_csv, write_csv
from pcn_cli.records.predictions import FoldAnswer
from pcn_cli.runs.rundir import RunDir

_FIXED = ("file", "label", "fold", "predicted")


def write_folds(run: RunDir, answers: Sequence[FoldAnswer], classes: Sequence[str]) -> None:
    """Put `answers` into the run, with a column p_<class> for each class."""
    header = (*_FIXED, *(f"p_{name}" for name in classes))
    write_csv(run.folds, header, ((a.file, a.label, a.fold, a.predicted, *a.probabilities) for a in answers))


def read_folds(run: RunDir) -> tuple[FoldAnswer, ...]:
    """What `write_folds` put into the run; none where nothing was cross-validated."""
    if not run.folds.is_file():
        return ()
    return tuple(
        FoldAnswer(
            file=row["file"],
            label=row["label"],
            fold=int(row["fold"]),
            predicted=row["predicted"],
            probabilities=tuple(float(cell) for cell in list(row.values())[len(_FIXED) :]),
        )
        for row in read_csv(run.folds)
    )
