"""Train: the probe on cached tokens, then tuning; the better of the two by validation log-loss becomes the model."""

from dataclasses import replace
from pathlib import Path

from torch import nn

from pcn_cli.models.sources import find_source
from pcn_cli.models.sources.folder import save_model_folder
from pcn_cli.recipe.schema import Recipe
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.state import read_record, recording_stage, update_record
from pcn_cli.runs.store import CANDIDATES, read_split
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.inference.load import Fetcher, model_source
from pcn_cli.stages.inference.replay import record_replay
from pcn_cli.stages.inference.workers import loading_workers
from pcn_cli.stages.train.calibration import calibrate_config, score_validation
from pcn_cli.stages.train.context import Work
from pcn_cli.stages.train.probe import State, train_probe
from pcn_cli.stages.train.tune import tune_model
from pcn_cli.stages.train.validation import score_batches
from pcn_cli.training.device import choose_device
from pcn_cli.training.learner import copy_state
from pcn_cli.training.stop import StopRequest


def train_run(run: RunDir, recipe: Recipe, *, fetch: Fetcher, callback: Callback, stop: StopRequest) -> None:
    """Train as the recipe says and put the better model into the run; the caller holds the run."""
    rows = read_split(run)
    classes = tuple(sorted({name for row in rows for name in row.labels}))
    model, config = find_source(model_source(recipe.model.name)).start(classes, recipe, fetch=fetch)
    config = replace(config, multi_label=any(row.multi_label for row in rows))
    with recording_stage(
        run, "train", (run.model, run.history, run.candidates, run.suspects, run.neighbours, run.folds)
    ):
        work = Work(
            run=run,
            recipe=recipe,
            rows=rows,
            root=Path(read_record(run).photos),
            classes=classes,
            config=config,
            device=choose_device(recipe.train.device),
            fetch=fetch,
            callback=callback,
            stop=stop,
        )
        if config.multi_label:
            callback.on_note(
                "several labels per photo: accuracy means all labels of a photo right, each given from 0.5 on"
            )
        kept, state = _train(model, work)
        model.load_state_dict(state)
        validation = work.part("val")
        callback.on_stage("calibrate")
        probabilities = score_validation(
            model,
            config,
            validation,
            root=work.root,
            device=work.device,
            batch_size=recipe.evaluate.batch_size,
            workers=loading_workers(recipe, work.device),
            callback=callback,
        )
        target = recipe.evaluate.target_accuracy
        calibrated = calibrate_config(
            config, probabilities, validation, seed=recipe.seed, target_accuracy=target, callback=callback
        )
        save_model_folder(run.model, model, calibrated)
        record_replay(run.model, validation, root=work.root)
        update_record(run, kept=kept)


def _train(model: nn.Module, work: Work) -> tuple[str, State]:
    """Which model is kept, "probe" or "tuned", and its weights."""
    if work.recipe.train.probe_epochs:
        model.load_state_dict(train_probe(model, work))
    kept, state = "probe", copy_state(model)
    candidates = {candidate.name: candidate for candidate in CANDIDATES.find(work.run) or ()}
    if work.recipe.train.tune != "probe":
        tuned = tune_model(model, work)
        if "probe" not in candidates or tuned.best.log_loss < candidates["probe"].val_log_loss:
            kept, state = "tuned", tuned.best_state
        model.load_state_dict(tuned.best_state)
        batches = work.batches(work.part("test"), batch_size=work.recipe.evaluate.batch_size)
        candidates["tuned"] = work.candidate("tuned", tuned.best.log_loss, score_batches(model, batches, work))
    order = [candidates[name] for name in ("tuned", "probe", "logistic regression") if name in candidates]
    CANDIDATES.write(work.run, tuple(replace(candidate, kept=candidate.name == kept) for candidate in order))
    return kept, state
