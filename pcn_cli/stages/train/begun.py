"""What the run that this one begins with has settled, so that it need not be tried once more."""

from dataclasses import replace

from pcn_cli.errors import PcnError
from pcn_cli.recipe.schema import Recipe
from pcn_cli.records.photos import SplitRow
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.state import read_record
from pcn_cli.runs.store import CANDIDATES, read_recipe, read_split
from pcn_cli.stages.earlier_runs import find_start
from pcn_cli.stages.train.context import TrainContext
from pcn_cli.stages.train.frozen import PROBE, REGRESSION

MOST_NEW = 0.25  # training photos that the earlier run did not learn from so, for each one that it did


def settle_probe(context: TrainContext) -> TrainContext:
    """The context, in which the probe is not tried where an earlier run found it no better on nearly these photos.

    What was learned is not taken from there, and the validation photos choose as they did: they keep their part. A run
    that tried no probe settles nothing for the next, so that it is tried in every second one.
    """
    start = find_start(context.recipe)
    try:
        settled = start is not None and _has_settled(start, context)
    except (PcnError, OSError):  # it is damaged: it settles nothing
        settled = False
    if start is None or not settled:
        return context
    context.callback.on_note(
        f"{PROBE}: not tried, as {start.root.name}, which this begins with, found it no better on most of these photos"
    )
    return replace(context, tries_probe=False)


def _has_settled(start: RunDir, context: TrainContext) -> bool:
    """Whether it compared the probe on nearly the same photos, by the same recipe, and kept the regression."""
    tried = {one.name for one in CANDIDATES.find(start) or ()}
    if PROBE not in tried or read_record(start).kept != REGRESSION:
        return False
    if _what_counts(read_recipe(start)) != _what_counts(context.recipe):
        return False
    rows, train = read_split(start), context.part("train")
    if {name for row in rows for name in row.labels} != set(context.classes):
        return False
    known = {_content(row) for row in rows if row.split == "train"}
    return sum(_content(row) not in known for row in train) <= MOST_NEW * len(known)


def _what_counts(recipe: Recipe) -> tuple[object, ...]:
    """All of a recipe that the comparison hangs on, beside the photos."""
    seen = (recipe.data.size, recipe.data.fit, recipe.data.crop_pct, recipe.augment.flip, recipe.evaluate.mirror)
    train = (recipe.train.probe_epochs, recipe.train.balance, recipe.train.monitor)
    return *seen, *train, recipe.model.pooling, recipe.seed


def _content(row: SplitRow) -> tuple[str, str]:
    """What a photo shows and what it is called."""
    return row.sha256, row.label
