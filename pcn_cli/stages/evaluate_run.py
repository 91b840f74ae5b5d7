"""Evaluate: the scores, the numbers and the maps of the test part, in one pass."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from pcn_cli.data.scan.scan_photos import other_part
from pcn_cli.errors import DataError, RecipeError
from pcn_cli.files.atomic import write_csv
from pcn_cli.files.locks import hold_folder
from pcn_cli.metrics.curves import gather_curves
from pcn_cli.metrics.definitions import described
from pcn_cli.metrics.inputs import SingleLabel, model_inputs
from pcn_cli.metrics.measure import candidate_metrics, measure, measure_calibration, measure_folds, per_class
from pcn_cli.metrics.pointing import play_pointing_game
from pcn_cli.metrics.suspects import doubt_predictions
from pcn_cli.models.sources import find_source
from pcn_cli.models.weights import Fetcher
from pcn_cli.recipe.arguments import checked
from pcn_cli.recipe.schema import Recipe
from pcn_cli.records.codec import to_plain
from pcn_cli.records.metrics import ClassRow, Finding, Metric
from pcn_cli.records.model import ModelConfig
from pcn_cli.records.photos import Scan, SplitRow
from pcn_cli.records.predictions import Prediction
from pcn_cli.runs.attention import Looks, write_looks
from pcn_cli.runs.predictions import write_jsonl, write_predictions
from pcn_cli.runs.rundir import RunDir, new_run_dir, open_run
from pcn_cli.runs.state import read_record, recording_outcome, recording_stage, start_run
from pcn_cli.runs.store import (
    CANDIDATES,
    CURVES,
    FINDINGS,
    METRICS,
    PER_CLASS,
    SUSPECTS,
    TRUST,
    read_boxes,
    read_folds,
    read_recipe,
    read_split,
    write_recipe,
    write_scan,
    write_split,
)
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.evaluate.findings import write_findings
from pcn_cli.stages.evaluate.threshold import open_retargetable, open_source, read_target, retarget_run
from pcn_cli.stages.explain.figures import draw_figures
from pcn_cli.stages.explain.overlays import draw_overlays
from pcn_cli.stages.explain.trust import check_maps
from pcn_cli.stages.inference.hiding import choose_hiding, stack_hidden
from pcn_cli.stages.inference.load import model_source, open_model
from pcn_cli.stages.inference.score import Scored, score_photos
from pcn_cli.stages.inference.workers import loading_workers
from pcn_cli.stages.model_card import write_model_card
from pcn_cli.stages.photos import read_unchanged, scan_folder
from pcn_cli.training.device import choose_device


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What an evaluation gave."""

    run: RunDir
    metrics: dict[str, Metric]
    per_class: tuple[ClassRow, ...]
    findings: tuple[Finding, ...] = ()

    def plain(self) -> dict[str, Any]:
        """The numbers as JSON."""
        return {
            "run": str(self.run.root),
            "metrics": {name: to_plain(value) for name, value in self.metrics.items()},
            "per_class": [to_plain(row) for row in self.per_class],
            "findings": [to_plain(finding) for finding in self.findings],
        }


@checked
def evaluate(
    run: str | Path | None = None,
    *,
    images: str | Path | None = None,
    labels: str | Path | None = None,
    boxes: str | Path | None = None,
    target_accuracy: float | None = None,
    output: str | Path | None = None,
    device: str | None = None,
    callback: Callback | None = None,
) -> Measured:
    """The numbers of a run's test part, measured anew; or of a model on other labelled photos, in a run of their own.

    Args:
        run: a run; with `images` also a card or a model folder. The latest run when None.
        images: labelled photos to measure on instead; only their test part where they come with parts.
        labels: the table that names their classes.
        boxes: a table of the boxes around the objects, which the maps are tested against.
        target_accuracy: choose a threshold for it on the run's validation photos, and put the model with it and the
            numbers into a run of their own; the model of `run` stays as it was.
        output: the folder of the new run; needs `images` or `target_accuracy`.
        device: where to compute.
        callback: hears how far it is.

    Raises:
        RunError: there is no such run, its photos changed, or it has no validation photos for `target_accuracy`.
        RecipeError: an argument has no effect beside the others.
        DataError: `images` hold classes that the model lacks, or `boxes` is no table of boxes of these photos.
    """
    callback = callback or Callback()
    if images is not None:
        if target_accuracy is not None:
            raise RecipeError(
                "--target-accuracy has no effect with --images: a threshold is chosen on a run's own validation photos",
                "pcn evaluate RUN --target-accuracy first, then --images with the run that it makes",
            )
        return _evaluate_images(
            run, Path(images), labels=labels, boxes=boxes, output=output, device=device, callback=callback
        )
    if labels is not None:
        raise RecipeError("--labels has no effect without --images", "add --images PHOTOS")
    if target_accuracy is not None:
        return _evaluate_target(
            open_source(run), read_target(target_accuracy), boxes=boxes, output=output, device=device, callback=callback
        )
    if output is not None:
        raise RecipeError("--output has no effect without --images or --target-accuracy", "add --images PHOTOS")
    here = open_run(None if run is None else Path(run))
    with hold_folder(here.root):
        return evaluate_run(here, boxes=boxes, device=device, callback=callback)


def evaluate_run(run: RunDir, *, boxes: str | Path | None = None, device: str | None, callback: Callback) -> Measured:
    """The numbers of the run's own test part, written into the run; the caller holds the run."""
    return measure_rows(
        run,
        read_unchanged(run),
        root=Path(read_record(run).photos),
        opened=open_model(run.root, fetch=Fetcher(offline=True)),
        boxes=boxes or read_recipe(run).evaluate.boxes,
        device=device,
        callback=callback,
    )


def read_measured(run: RunDir) -> Measured:
    """The numbers that an evaluation wrote into the run."""
    return Measured(
        run=run,
        metrics=described(METRICS.read(run)),
        per_class=PER_CLASS.read(run),
        findings=FINDINGS.read(run),
    )


def measure_rows(
    run: RunDir,
    rows: Sequence[SplitRow],
    *,
    root: Path,
    opened: tuple[nn.Module, ModelConfig],
    boxes: str | Path | None,
    device: str | None,
    callback: Callback,
    learned_from: Sequence[SplitRow] = (),
) -> Measured:
    """The numbers of the test rows by the `opened` model, with all their files written into `run`.

    `learned_from` are the photos that the model was made with, where they are not of this run.
    """
    recipe = read_recipe(run)
    network, config = opened
    known_boxes = read_boxes(Path(boxes)) if boxes else {}
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
        run.suspects,
        run.trust,
        run.model_card,
    )
    hiding = choose_hiding(len(test), checks=recipe.explain.checks, seed=recipe.seed, multi_label=config.multi_label)
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
            hiding=hiding,
        ):
            row = test[one.index]
            scored.append(replace(one, prediction=replace(one.prediction, label=row.label, split=row.split)))
            callback.on_progress("evaluating", len(scored), len(test))
        predictions = [one.prediction for one in scored]
        write_scored(run, scored, config)
        draw_overlays(run, scored, root=root, config=config, explain=recipe.explain, callback=callback)
        pointing = play_pointing_game(predictions, known_boxes)
        if known_boxes and not pointing:
            raise DataError(
                "no photo that was measured has a box", f"the table names photos below {root}, such as {test[0].file}"
            )
        if not config.multi_label and not run.suspects.is_file():  # nobody looked at all photos while training
            SUSPECTS.write(run, doubt_predictions(predictions, config.classes))
        trust = None
        if hiding is not None:
            trust = check_maps(
                network,
                config,
                scored,
                root=root,
                boxes=known_boxes,
                hiding=hiding,
                device=used,
                batch_size=recipe.evaluate.batch_size,
                workers=loading_workers(recipe, used),
                callback=callback,
            )
            TRUST.write(run, trust)
        measured = _write_metrics(run, predictions, config, recipe, train_labels, pointing)
        found = write_findings(
            run, rows, measured.metrics, measured.per_class, config, trust, learned_from=learned_from
        )
        write_model_card(run)
    return replace(measured, findings=found)


def _learned_from(source: RunDir) -> list[SplitRow]:
    """The photos that a run's model was made with, by their whole path."""
    root = Path(read_record(source).photos)
    rows = read_split(source) if source.split.is_file() else ()
    return [replace(row, file=str(root / row.file)) for row in rows if row.split != "test"]


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
        **stack_hidden([one.hidden for one in scored if one.hidden]),
    )
    write_looks(run.attention, looks)


def _write_metrics(
    run: RunDir,
    predictions: Sequence[Prediction],
    config: ModelConfig,
    recipe: Recipe,
    train_labels: Sequence[str],
    pointing: dict[str, Metric],
) -> Measured:
    labels = [prediction.label for prediction in predictions]
    probabilities = np.array([prediction.probabilities for prediction in predictions])
    inputs = model_inputs(
        labels,
        probabilities,
        config,
        top_k=recipe.evaluate.top_k,
        seed=recipe.seed,
        train_labels=train_labels or None,
    )
    metrics = measure(inputs) | measure_calibration(inputs, config) | pointing
    metrics |= candidate_metrics(CANDIDATES.find(run) or (), metrics.get(inputs.headline))
    metrics = described(metrics | measure_folds(read_folds(run), config.classes))
    METRICS.write(run, metrics)
    CURVES.write(run, gather_curves(inputs, config))
    classes = per_class(inputs)
    PER_CLASS.write(run, classes)
    matrix = inputs.matrix if isinstance(inputs, SingleLabel) else None
    if matrix is not None:
        rows = zip(config.classes, matrix.tolist(), strict=True)
        write_csv(run.confusion, ("label", *config.classes), ([name, *row] for name, row in rows))
    draw_figures(run, matrix, config.classes, classes)
    return Measured(run=run, metrics=metrics, per_class=classes)


def _evaluate_images(
    source: str | Path | None,
    photos: Path,
    *,
    labels: str | Path | None,
    boxes: str | Path | None,
    output: str | Path | None,
    device: str | None,
    callback: Callback,
) -> Measured:
    name = model_source(source)
    find_source(name).check_available(offline=False)  # before thousands of photos are read
    scan = scan_folder(photos, labels=labels, only="test", callback=callback)
    opened = open_model(name, fetch=Fetcher(callback=callback))
    config = opened[1]
    _refuse_other_labels(scan, config)
    unknown = sorted(set(scan.classes) - set(config.classes))
    if unknown or not scan.photos:
        found = f"classes that the model does not know: {', '.join(unknown)}" if unknown else "no photos"
        raise DataError(f"{photos} holds {found}", f"the model knows {', '.join(config.classes)}")
    rows = _rows_to_measure(scan, callback)
    trained = open_run(None if source is None else Path(source)) if name != str(source) else None
    stem = trained.root.name if trained else Path(name).name
    run = RunDir(Path(output)) if output else new_run_dir(photos.resolve().name, f"{stem}-evaluated")
    used = str(choose_device(device))
    with start_run(run, kind="evaluate", photos=photos, card=config.card, device=used), recording_outcome(run):
        write_scan(run, scan)
        write_recipe(run, read_recipe(trained) if trained else Recipe(), {})
        write_split(run, rows)
        return measure_rows(
            run,
            rows,
            root=photos,
            opened=opened,
            boxes=boxes,
            device=device,
            callback=callback,
            learned_from=_learned_from(trained) if trained else (),
        )


def _evaluate_target(
    source: RunDir,
    target: float,
    *,
    boxes: str | Path | None,
    output: str | Path | None,
    device: str | None,
    callback: Callback,
) -> Measured:
    rows = read_unchanged(source)
    opened = open_retargetable(source, rows)
    photos, used = Path(read_record(source).photos), choose_device(device)
    run = RunDir(Path(output)) if output else new_run_dir(source.root.name, "threshold")
    known = str(Path(boxes).resolve()) if boxes else read_recipe(source).evaluate.boxes
    with (
        start_run(run, kind="evaluate", photos=photos, card=read_record(source).card, device=str(used)),
        recording_outcome(run),
    ):
        config = retarget_run(
            run, source, rows, opened=opened, target=target, boxes=known, device=used, callback=callback
        )
        return measure_rows(
            run,
            rows,
            root=photos,
            opened=(opened[0], config),
            boxes=known,
            device=device,
            callback=callback,
        )


def _rows_to_measure(scan: Scan, callback: Callback) -> list[SplitRow]:
    """The photos of the test part, or all where the photos come without one."""
    others = sum(one.reason == other_part("test") for one in scan.ignored)
    if others:
        found = len(scan.photos)
        callback.on_note(f"only their test part is measured: {found:,} of {found + others:,} photos")
    return [
        SplitRow(file=photo.file, label=photo.label, split="test", sha256=photo.sha256, multi_label=scan.multi_label)
        for photo in scan.photos
    ]


def _refuse_other_labels(scan: Scan, config: ModelConfig) -> None:
    """Nothing, if the photos are labelled as the model answers: with one label each, or with several.

    Raises:
        DataError: they are not.
    """
    if config.multi_label == scan.multi_label:
        return
    if config.multi_label:
        message = f"the model may give a photo several labels, and {scan.root} has one for each"
        raise DataError(message, "name a table with the columns file,labels with --labels FILE")
    message = f"the table gives photos of {scan.root} several labels, and the model gives one to each"
    raise DataError(message, "name a table with the columns file,label with --labels FILE")
