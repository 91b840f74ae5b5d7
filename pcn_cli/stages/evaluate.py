"""Evaluate: the scores, the numbers and the maps of the test part, in one pass."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pcn_cli.data.split import write_split
from pcn_cli.errors import DataError, RecipeError
from pcn_cli.files.atomic import read_csv, write_csv, write_json, write_text
from pcn_cli.files.locks import hold_folder
from pcn_cli.metrics.promises import gather_curves, measure_promises
from pcn_cli.metrics.table import confusion, measure, per_class
from pcn_cli.recipe.schema import Recipe
from pcn_cli.records.codec import from_plain, to_plain
from pcn_cli.records.metrics import ClassRow, Metric
from pcn_cli.records.model import ModelConfig
from pcn_cli.records.photos import SplitRow
from pcn_cli.records.predictions import Prediction
from pcn_cli.runs.rundir import RunDir, new_run_dir, open_run
from pcn_cli.runs.state import read_record, recording_outcome, recording_stage, require, start_run
from pcn_cli.stages.candidates_file import candidate_metrics, read_candidates
from pcn_cli.stages.figures import draw_figures
from pcn_cli.stages.findings import write_findings
from pcn_cli.stages.listener import Listener
from pcn_cli.stages.load_model import Fetcher, open_model
from pcn_cli.stages.looks_file import Looks, write_looks
from pcn_cli.stages.machine import loading_workers
from pcn_cli.stages.overlays import draw_overlays
from pcn_cli.stages.predictions_file import write_jsonl, write_predictions
from pcn_cli.stages.recipe_file import read_recipe
from pcn_cli.stages.scan import inspect, write_scan
from pcn_cli.stages.scoring import Scored, score_photos
from pcn_cli.stages.split import read_unchanged
from pcn_cli.training.device import choose_device


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What an evaluation gave."""

    run: RunDir
    metrics: dict[str, Metric]
    per_class: tuple[ClassRow, ...]

    def plain(self) -> dict[str, Any]:
        """The numbers as JSON."""
        return {
            "run": str(self.run.root),
            "metrics": {name: to_plain(value) for name, value in self.metrics.items()},
            "per_class": [to_plain(row) for row in self.per_class],
        }


def evaluate(
    run: str | Path | None = None,
    *,
    images: str | Path | None = None,
    labels: str | Path | None = None,
    output: str | Path | None = None,
    device: str | None = None,
    listener: Listener | None = None,
) -> Measured:
    """The numbers of a run's test part, measured anew; or of its model on other labelled photos, in a run of their own.

    Raises:
        RunError: there is no such run, or its photos changed.
        DataError: `images` hold classes that the model lacks.
    """
    listener = listener or Listener()
    here = open_run(None if run is None else Path(run))
    if images is not None:
        return _evaluate_images(here, Path(images), labels=labels, output=output, device=device, listener=listener)
    for flag, value in (("--labels", labels), ("--output", output)):
        if value is not None:
            raise RecipeError(f"{flag} has no effect without --images", "add --images PHOTOS")
    with hold_folder(here.root):
        return evaluate_run(here, device=device, listener=listener)


def evaluate_run(run: RunDir, *, device: str | None, listener: Listener) -> Measured:
    """The numbers of the run's own test part, written into the run; the caller holds the run."""
    root = Path(read_record(run).photos)
    return measure_rows(run, read_unchanged(run), root=root, source=run, device=device, listener=listener)


def read_measured(run: RunDir) -> Measured:
    """The numbers that an evaluation wrote into the run."""
    plain = json.loads(require(run, run.metrics, f"pcn evaluate {run.root}").read_text(encoding="utf-8"))
    return Measured(
        run=run,
        metrics={name: from_plain(Metric, metric) for name, metric in plain.items()},
        per_class=tuple(ClassRow.from_cells(row) for row in read_csv(run.per_class)),
    )


def measure_rows(
    run: RunDir, rows: Sequence[SplitRow], *, root: Path, source: RunDir, device: str | None, listener: Listener
) -> Measured:
    """The numbers of the test rows by the model of the run `source`, with all their files written into `run`."""
    recipe = read_recipe(run.recipe)
    network, config = open_model(source.root, fetch=Fetcher(offline=True))
    used = choose_device(device)
    test = [row for row in rows if row.split == "test"]
    train_labels = [row.label for row in rows if row.split == "train"]
    written = (
        run.predictions,
        run.predictions_jsonl,
        run.per_class,
        run.confusion,
        run.metrics,
        run.curves,
        run.findings,
    )
    with recording_stage(run, "evaluate", (*written, run.figures, run.attention, run.overlays)):
        scored = []
        for one in score_photos(
            network,
            config,
            root=root,
            files=[row.file for row in test],
            device=used,
            batch_size=recipe.evaluate.batch_size,
            workers=loading_workers(recipe, used),
        ):
            row = test[one.index]
            scored.append(replace(one, prediction=replace(one.prediction, label=row.label, split=row.split)))
            listener.on_progress("evaluating", len(scored), len(test))
        predictions = [one.prediction for one in scored]
        write_scored(run, scored, config)
        draw_overlays(run, scored, root=root, config=config, explain=recipe.explain, listener=listener)
        measured = _write_metrics(run, predictions, config, recipe, train_labels)
        write_findings(run, rows, measured.metrics, measured.per_class, config)
    return measured


def write_scored(run: RunDir, scored: Sequence[Scored], config: ModelConfig) -> None:
    """Predictions and maps of `scored`, as files of the run."""
    predictions = [one.prediction for one in scored]
    write_predictions(run.predictions, predictions, config.classes)
    write_jsonl(run.predictions_jsonl, predictions, config.classes)
    looks = Looks(
        files=tuple(prediction.file for prediction in predictions),
        maps=np.stack([one.look for one in scored]),
        placements=tuple(one.placement for one in scored),
        patch_grid=config.patch_grid,
    )
    write_looks(run.attention, looks)


def _write_metrics(
    run: RunDir,
    predictions: Sequence[Prediction],
    config: ModelConfig,
    recipe: Recipe,
    train_labels: Sequence[str],
) -> Measured:
    labels = [prediction.label for prediction in predictions]
    probabilities = np.array([prediction.probabilities for prediction in predictions])
    classes = config.classes
    metrics = measure(
        labels,
        probabilities,
        classes,
        temperature=config.temperature,
        top_k=recipe.evaluate.top_k,
        seed=recipe.seed,
        train_labels=train_labels or None,
    )
    metrics |= measure_promises(labels, probabilities, config, seed=recipe.seed)
    metrics |= candidate_metrics(read_candidates(run), kept=metrics["accuracy"])
    rows = per_class(labels, probabilities, classes)
    write_json(run.metrics, {name: to_plain(metric) for name, metric in metrics.items()})
    write_json(run.curves, to_plain(gather_curves(labels, probabilities, config)))
    write_csv(run.per_class, ClassRow.names(), [row.cells() for row in rows])
    counts = confusion(labels, probabilities, classes)
    write_csv(run.confusion, ("label", *classes), ([n, *row] for n, row in zip(classes, counts.tolist(), strict=True)))
    draw_figures(run, counts, classes, rows)
    return Measured(run=run, metrics=metrics, per_class=rows)


def _evaluate_images(
    source: RunDir,
    photos: Path,
    *,
    labels: str | Path | None,
    output: str | Path | None,
    device: str | None,
    listener: Listener,
) -> Measured:
    scan = inspect(photos, labels=labels, listener=listener)
    _, config = open_model(source.root, fetch=Fetcher(offline=True))
    unknown = sorted(set(scan.classes) - set(config.classes))
    if unknown or not scan.photos:
        found = f"classes that the model does not know: {', '.join(unknown)}" if unknown else "no photos"
        raise DataError(f"{photos} holds {found}", f"the model knows {', '.join(config.classes)}")
    run = RunDir(Path(output)) if output else new_run_dir(photos.resolve().name, f"{source.root.name}-evaluated")
    used = str(choose_device(device))
    with start_run(run, kind="evaluate", photos=photos, card=config.card, device=used), recording_outcome(run):
        write_scan(run, scan)
        write_text(run.recipe, source.recipe.read_text(encoding="utf-8"))
        rows = [SplitRow(file=p.file, label=p.label, split="test", sha256=p.sha256) for p in scan.photos]
        write_split(run.split, rows)
        return measure_rows(run, rows, root=photos, source=source, device=device, listener=listener)
