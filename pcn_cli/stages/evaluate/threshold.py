"""Retarget: another wished accuracy for a finished run, as a run of its own; nothing is trained, the old run stays."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pcn_cli.data.split import fingerprint
from pcn_cli.errors import RecipeError, RunError
from pcn_cli.files.atomic import write_bytes
from pcn_cli.metrics.calibration import temper
from pcn_cli.metrics.selective import choose_threshold, selection_notes
from pcn_cli.models.sources.folder import save_model_folder
from pcn_cli.models.weights import Fetcher
from pcn_cli.recipe.schema import Recipe
from pcn_cli.records.photos import SplitRow
from pcn_cli.runs.rundir import RunDir, open_run
from pcn_cli.runs.state import photo_root, read_record, recording_stage, update_record
from pcn_cli.runs.store import read_validation, write_recipe
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.inference.load import LoadedModel, open_model
from pcn_cli.stages.inference.replay import record_replay
from pcn_cli.stages.inference.score import score_validation


def open_source(source: str | Path | None) -> RunDir:
    """The run whose validation photos a threshold is chosen on; the latest when None."""
    if source is not None and not RunDir(Path(source)).record.is_file():
        raise RunError(
            f"{source} is not a run, and only a run has validation photos to choose a threshold on",
            "name the run that made the model; list the runs with `pcn runs`",
        )
    return open_run(source)


def open_retargetable(source: RunDir, rows: Sequence[SplitRow], *, device: str | None) -> LoadedModel:
    """The model of the run `source`, whose photos are `rows`; refused where no threshold can be chosen for it."""
    if not any(row.split == "val" for row in rows):
        raise RunError(
            f"{source.root} has no validation photos to choose a threshold on: nothing was trained there",
            "name the run that trained the model; list the runs with `pcn runs`",
        )
    model = open_model(source.root, fetch=Fetcher(offline=True), device=device)
    if model.config.multi_label:
        raise RecipeError(
            "--target-accuracy has no meaning where photos may have several labels",
            "leave it out: such a model has a threshold for each class",
        )
    return model


# What scan and training left in a run: it is as true of the same model with another threshold.
_PHOTOS = (RunDir.scan, RunDir.unreadable, RunDir.split, RunDir.suspects, RunDir.neighbours)
_TRAINING = (RunDir.history, RunDir.candidates, RunDir.validation, RunDir.folds, RunDir.learning_curve)


def retarget_run(
    run: RunDir,
    source: RunDir,
    rows: Sequence[SplitRow],
    *,
    model: LoadedModel,
    target: float,
    recipe: Recipe,
    callback: Callback,
) -> LoadedModel:
    """The model with a threshold for `target`, as it stands in `run` beside `recipe` and all that `source` knows."""
    made, validation = read_record(source), [row for row in rows if row.split == "val"]
    root = photo_root(source)
    for artifact in (*_PHOTOS, *_TRAINING):
        if artifact.of(source).is_file():
            write_bytes(artifact.of(run), artifact.of(source).read_bytes())
    write_recipe(run, recipe, {})
    update_record(run, fingerprint=fingerprint(rows), kept=made.kept)
    if made.argv[1:2] == ("finetune",):  # training with the new wish gives the same model
        update_record(run, argv=(*made.argv, "--target-accuracy", f"{target:g}"))
    with recording_stage(run, "calibrate", (run.model,)):
        probabilities = read_validation(source)
        if not probabilities.size:  # a run of an older version, whose model learned from no validation photo
            probabilities = score_validation(model, validation, root=root, recipe=recipe, callback=callback)
        targets = np.array([model.config.classes.index(row.label) for row in validation])
        selection = choose_threshold(temper(probabilities, model.config.temperature), targets, target=target)
        for note in selection_notes(selection):
            callback.on_note(note)
        config = replace(model.config, selection=selection)
        save_model_folder(run.model, model.network, config)
        record_replay(run.model, validation, root=root)
    callback.on_note(f"the model of {source.root} stays as it was; this one answers with the threshold: {run.root}")
    return replace(model, config=config)
