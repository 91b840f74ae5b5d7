"""One typed reader and writer for each artifact of a run; how the files are called stands in rundir.py.

predictions.csv and attention.npz, which take more than a line, stand in predictions.py.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from pcn_cli.errors import DataError, RunError, command
from pcn_cli.files.atomic import read_csv, write_csv, write_json, write_text
from pcn_cli.files.reading import read_json
from pcn_cli.recipe.load import load_recipe
from pcn_cli.recipe.recipe_yaml import dump_recipe
from pcn_cli.recipe.schema import OPTIONS, Recipe
from pcn_cli.records.change import Change
from pcn_cli.records.codec import field_names, from_cells, from_plain, to_cells, to_plain
from pcn_cli.records.decisions import Decision
from pcn_cli.records.desk import Desk
from pcn_cli.records.evaluation import Curves, LearningCurve, Trust
from pcn_cli.records.metrics import Candidate, ClassRow, Finding, Metric, Trunks
from pcn_cli.records.model import ModelConfig
from pcn_cli.records.photos import SEVERAL, Box, Scan, SkippedFile, SplitRow, Tie
from pcn_cli.records.predictions import Alike, FoldAnswer, PhotoPlace, Suspect
from pcn_cli.records.run import EpochRow
from pcn_cli.records.shift import Shift
from pcn_cli.records.slices import Slices
from pcn_cli.runs.rundir import Artifact, RunDir

T = TypeVar("T")


class Json(Generic[T]):
    """An artifact that holds one value of type `kind` as JSON."""

    def __init__(self, place: Artifact, kind: type[T]) -> None:
        self.place, self.kind = place, kind

    def write(self, run: RunDir, value: T) -> None:
        """Put `value` into the run."""
        write_json(self.place.of(run), to_plain(value))

    def read(self, run: RunDir) -> T:
        """What the run holds.

        Raises:
            RunError: it does not hold that, or it is damaged.
        """
        path = self.place.of(run)
        try:
            return from_plain(self.kind, read_json(path))
        except FileNotFoundError as error:
            hint = f"measure it with {command('evaluate', run.root)}"
            raise RunError(f"{run.root} has no {self.place.name}", hint) from error
        except ValueError as error:
            raise _damaged(path, error) from error

    def find(self, run: RunDir) -> T | None:
        """What the run holds; None where there is no such file, as in runs of older versions."""
        return self.read(run) if self.place.of(run).is_file() else None


class Table(Generic[T]):
    """An artifact that holds records of type `kind` as CSV, a row each."""

    def __init__(self, place: Artifact, kind: type[T]) -> None:
        self.place, self.kind = place, kind

    def write(self, run: RunDir, rows: Iterable[T]) -> None:
        """Put `rows` into the run."""
        write_csv(self.place.of(run), field_names(self.kind), map(to_cells, rows))

    def read(self, run: RunDir) -> tuple[T, ...]:
        """The rows in the run; none where there is no such table.

        Raises:
            RunError: it is damaged.
        """
        path = self.place.of(run)
        try:
            return tuple(from_cells(self.kind, cells) for cells in read_csv(path)) if path.is_file() else ()
        except ValueError as error:
            raise _damaged(path, error) from error


SCAN = Json(RunDir.scan, Scan)
DECISIONS = Table(RunDir.decisions, Decision)
UNREADABLE = Table(RunDir.unreadable, SkippedFile)
HISTORY = Table(RunDir.history, EpochRow)
TRUNKS = Json(RunDir.trunks, Trunks)
CANDIDATES = Json(RunDir.candidates, tuple[Candidate, ...])
SUSPECTS = Table(RunDir.suspects, Suspect)
ALIKE = Table(RunDir.alike, Alike)
PLACES = Table(RunDir.places, PhotoPlace)
NEIGHBOURS = Table(RunDir.neighbours, Tie)
METRICS = Json(RunDir.metrics, dict[str, Metric])
PER_CLASS = Table(RunDir.per_class, ClassRow)
CURVES = Json(RunDir.curves, Curves)
LEARNING_CURVE = Json(RunDir.learning_curve, LearningCurve)
FINDINGS = Json(RunDir.findings, tuple[Finding, ...])
TRUST = Json(RunDir.trust, Trust)
SHIFT = Json(RunDir.shift, Shift)
DESK = Json(RunDir.desk, Desk)
CHANGE = Json(RunDir.change, Change)
SLICES = Json(RunDir.slices, Slices)
MODEL_CONFIG = Json(RunDir.model_config, ModelConfig)


def _damaged(path: Path, error: Exception) -> RunError:
    return RunError(f"{path} is damaged: {error}", "bring it back from a copy, or make it again")


def write_recipe(run: RunDir, recipe: Recipe, reasons: Mapping[str, str]) -> None:
    """Put the resolved recipe into the run, with the reason for each automatic choice."""
    write_text(run.recipe, dump_recipe(recipe, reasons))


def read_recipe(run: RunDir) -> Recipe:
    """The recipe that the run was made with; what is newer than the run stays as it was before."""
    loaded = load_recipe(str(run.recipe))
    newer = {key: one.before for key, one in OPTIONS.items() if one.before is not None and key not in loaded.named}
    return loaded.recipe.replace(newer)


def write_scan(run: RunDir, scan: Scan) -> None:
    """Put scan.json, with the number of photos of each class, and unreadable.csv into the run."""
    write_json(run.scan, scan.plain())
    UNREADABLE.write(run, scan.unreadable)


def write_split(run: RunDir, rows: Sequence[SplitRow]) -> None:
    """Put the split into the run, the labels under the name that a table of labels has for them."""
    label = SEVERAL if any(row.multi_label for row in rows) else "label"
    cells = ((row.file, row.label, row.split, row.group, row.sha256) for row in rows)
    write_csv(run.split, ("file", label, "split", "group", "sha256"), cells)


def read_split(run: RunDir) -> tuple[SplitRow, ...]:
    """The photos of the run with their parts.

    Raises:
        DataError: the file is missing or is no such table.
    """
    try:
        table = read_csv(run.split)
        several = bool(table) and SEVERAL in table[0]
        cells = [{"label": row[SEVERAL]} | row for row in table] if several else table
        return tuple(replace(from_cells(SplitRow, row), multi_label=several) for row in cells)
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"{run.split} is no split of ours: {error}", "pcn finetune PHOTOS makes a new one") from error


_FOLD_COLUMNS = ("file", "label", "fold", "predicted")


def write_answers(path: Path, answers: Sequence[FoldAnswer], classes: Sequence[str]) -> None:
    """Put what models answered that had not seen the photos at `path`, with a column p_<class> for each class."""
    header = (*_FOLD_COLUMNS, *(f"p_{name}" for name in classes))
    write_csv(path, header, ((a.file, a.label, a.fold, a.predicted, *a.probabilities) for a in answers))


def read_answers(path: Path) -> tuple[FoldAnswer, ...]:
    """What `write_answers` put there, in its order; nothing where there is no such file.

    Raises:
        RunError: it is damaged.
    """
    if not path.is_file():
        return ()
    try:
        return tuple(
            FoldAnswer(
                file=row["file"],
                label=row["label"],
                fold=int(row["fold"]),
                predicted=row["predicted"],
                probabilities=tuple(float(cell) for cell in list(row.values())[len(_FOLD_COLUMNS) :]),
            )
            for row in read_csv(path)
        )
    except (KeyError, ValueError, TypeError) as error:
        raise _damaged(path, error) from error


def read_validation(run: RunDir) -> NDArray[np.float64]:
    """The probabilities (N, K) that were answered to the validation photos; (0,) in runs of older versions."""
    return np.array([answer.probabilities for answer in read_answers(run.validation)])


def write_boxes(path: Path, boxes: Iterable[Box]) -> None:
    """Put a table of boxes at `path`."""
    write_csv(path, field_names(Box), map(to_cells, boxes))
