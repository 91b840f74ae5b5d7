"""What earlier runs did with photos: which part each had, and so what a model that began there has learned from."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pcn_cli.recipe.schema import Recipe
from pcn_cli.records.photos import PARTS, Part, SplitRow
from pcn_cli.runs.rundir import RunDir, find_maker
from pcn_cli.runs.state import photo_root
from pcn_cli.runs.store import read_recipe, read_split

_MOST = 50  # runs that began with one another


def find_start(recipe: Recipe) -> RunDir | None:
    """The run whose weights the recipe starts from, if it starts from one."""
    own = recipe.model.pretrained and Path(recipe.model.name).is_absolute()  # a recipe has paths so, and cards by name
    return find_maker(recipe.model.name) if own else None


def read_known_parts(run: RunDir) -> dict[str, Part]:
    """The part of each photo, by SHA-256, of the run and those that it began with; the one that most was learned in."""
    known: dict[str, Part] = {}
    for earlier in _list_ancestors(run):
        for row in read_split(earlier):
            known[row.sha256] = min(row.split, known.get(row.sha256, row.split), key=PARTS.index)
    return known


def find_learned_rows(recipe: Recipe, rows: Sequence[SplitRow]) -> tuple[SplitRow, ...]:
    """Photos that the start of the recipe learned from or was chosen by, and that are test photos among `rows`.

    Their files are absolute paths.
    """
    start, tested = find_start(recipe), {row.sha256 for row in rows if row.split == "test"}
    if start is None:
        return ()
    return tuple(
        replace(row, file=str(photo_root(run) / row.file))
        for run in _list_ancestors(start)
        for row in read_split(run)
        if row.split != "test" and row.sha256 in tested
    )


def _list_ancestors(run: RunDir) -> tuple[RunDir, ...]:
    """The run and those that it began with, the latest first, as far as they are still there."""
    found: list[RunDir] = []
    current: RunDir | None = run
    while current and current.split.is_file() and current not in found and len(found) < _MOST:
        found.append(current)
        current = find_start(read_recipe(current)) if current.recipe.is_file() else None
    return tuple(found)
