"""Train: the probe on cached tokens, then tuning; the better of the two by validation log-loss becomes the model."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from torch import nn

from pcn_cli.models.sources import find_source
from pcn_cli.models.sources.folder import save_model_folder
from pcn_cli.models.weights import Fetcher
from pcn_cli.recipe.schema import Recipe
from pcn_cli.records.photos import SplitRow
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.state import read_record, recording_stage, update_record
from pcn_cli.runs.store import CANDIDATES
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.inference.load import model_source
from pcn_cli.stages.inference.replay import record_replay
from pcn_cli.stages.train.calibration import calibrate_model
from pcn_cli.stages.train.candidates import State, measure_candidate, train_probe, tune_model
from pcn_cli.stages.train.context import TrainContext
from pcn_cli.stages.train.validation import score_batches
from pcn_cli.training.device import choose_device
from pcn_cli.training.learner import copy_state
from pcn_cli.training.stop import StopRequest


def train_run(
    run: RunDir, recipe: Recipe, rows: Sequence[SplitRow], *, fetch: Fetcher, callback: Callback, stop: StopRequest
) -> None:
    """Train as the recipe says and put the better model into the run; the caller holds the run."""
    classes = tuple(sorted({name for row in rows for name in row.labels}))
    model, model_config = find_source(model_source(recipe.model.name)).start(classes, recipe, fetch=fetch)
    context = TrainContext(
        run=run,
        recipe=recipe,
        rows=tuple(rows),
        root=Path(read_record(run).photos),
        model_config=replace(model_config, multi_label=any(row.multi_label for row in rows)),
        device=choose_device(recipe.train.device),
        fetch=fetch,
        callback=callback,
        stop=stop,
    )
    artifacts = (run.model, run.history, run.candidates, run.suspects, run.neighbours, run.folds)
    with recording_stage(run, "train", artifacts):
        if context.model_config.multi_label:
            callback.on_note(
                "several labels per photo: accuracy means all labels of a photo right, each given from 0.5 on"
            )
        kept, state = choose_model(model, context)
        model.load_state_dict(state)
        save_model_folder(run.model, model, calibrate_model(model, context))
        record_replay(run.model, context.part("val"), root=context.root)
        update_record(run, kept=kept)


def choose_model(model: nn.Module, context: TrainContext) -> tuple[str, State]:
    """Which model is kept, "probe" or "tuned", and its weights; all that were compared stand in candidates.json."""
    if context.recipe.train.probe_epochs:
        model.load_state_dict(train_probe(model, context))
    kept, state = "probe", copy_state(model)
    candidates = {candidate.name: candidate for candidate in CANDIDATES.find(context.run) or ()}
    if context.recipe.train.tune != "probe":
        tuned = tune_model(model, context)
        if "probe" not in candidates or tuned.best.log_loss < candidates["probe"].val_log_loss:
            kept, state = "tuned", tuned.best_state
        model.load_state_dict(tuned.best_state)
        probabilities = score_batches(model, context.batches(context.part("test")), context)
        candidates["tuned"] = measure_candidate("tuned", tuned.best.log_loss, probabilities, context)
    order = [candidates[name] for name in ("tuned", "probe", "logistic regression") if name in candidates]
    CANDIDATES.write(context.run, tuple(replace(candidate, kept=candidate.name == kept) for candidate in order))
    return kept, state
