"""Predict: labels, probabilities and overlays for photos that nobody has labelled, for a caller or into a run."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from pcn_cli.data.boxes.cut import cut_below
from pcn_cli.data.image_paths import gather_images
from pcn_cli.errors import DataError, command
from pcn_cli.files.atomic import write_text
from pcn_cli.models.weights import Fetcher
from pcn_cli.recipe.arguments import with_predict_options
from pcn_cli.recipe.schema import Labelling, PredictOptions, Recipe
from pcn_cli.records.photos import SkippedFile
from pcn_cli.runs.rundir import RunDir, new_run_dir, open_run
from pcn_cli.runs.state import photo_root, recording_outcome, recording_stage, start_run
from pcn_cli.runs.store import UNREADABLE, read_recipe
from pcn_cli.stages.answers import Answers, NamedPhotos, naming_photos, refuse_idle_memory
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.crops import crops_folder, keep_crops
from pcn_cli.stages.explain.overlays import draw_overlays
from pcn_cli.stages.inference.hiding import Hiding
from pcn_cli.stages.inference.load import LoadedModel, open_model, open_own_model, settle_engine, settle_precision
from pcn_cli.stages.inference.score import Scored, loading_workers, score_photos, write_scored
from pcn_cli.tensors.network import Network


@with_predict_options
def predict(
    images: str | Path | Sequence[str | Path],
    *,
    callback: Callback | None = None,
    **options: Any,  # noqa: ANN401 - many types
) -> list[dict[str, Any]]:
    """One answer per image, in the order given.

    It is `{"file", "label", "confidence", "unknown", "reason", "unlike", "top", "sets", "error"}`. `unlike` is more
    than 1 where the photo is unlike anything learned, `reason` says that, or why the label is unknown. `top` holds
    `{"label", "p"}`, `sets` `{"level", "labels"}` where the model has conformal sets. A photo less sure than
    `min_confidence`, or else the model's threshold, has the label of `withheld_label`. A model of several labels
    answers `{"file", "labels", "confidence", "unlike", "top", "error"}`, where `labels` holds `{"label", "p", "least"}`
    for each that reaches its threshold `least`, and may be empty. What is named twice is answered twice.

    With `crop_boxes` an answer is of a box, `file` is the photo's with its number behind a #, and `box` are left, top,
    right and bottom in pixels; photos without a box have no answer. With `load_truncated` the answer of a truncated
    photo has `missing`, about the share of its rows that are not there.

    `images` are files, folders (searched for images) and globs; where several are named, a missing one is an answer
    with `error`. The arguments are the options of `pcn predict`, whose `--help` tells what each means. Overlays, one
    per photo as `<name>.png`, replace those of an earlier call; copies replace nothing.

    Raises:
        DataError: no image was named.
        RecipeError: an argument has no effect beside the others, or no meaning with a model that gives several labels.
        ResourceError: a folder to write into is one that holds photos, or lies in one.
    """
    asked, callback = PredictOptions(**options), callback or Callback()
    with naming_photos(images, asked, on_note=callback.on_note) as photos:
        return _answer(photos, asked, callback)


def _answer(photos: NamedPhotos, asked: PredictOptions, callback: Callback) -> list[dict[str, Any]]:
    """The answers to the named photos, in their order."""
    model = asked.model
    if model is None:
        model = open_run(None).root
        callback.on_note(f"using {model}, the latest finished run")
    fetch = Fetcher(offline=asked.offline, mirror=asked.mirror, callback=callback)
    opened = open_model(model, fetch=fetch, device=asked.device, precision=asked.precision, engine=asked.engine)
    opened = replace(opened, load_truncated=asked.load_truncated, keep_vast=asked.overlay is not None)
    config, evenly = opened.config, cast("Network", opened.network).looks_evenly
    remembers = opened.learned is not None and opened.learned.bound is not None
    refuse_idle_memory(asked, model, remembers=remembers)
    callback.on_choice("precision", *settle_precision(config, opened.device, asked=asked.precision))
    count = len(photos.paths)
    engine = settle_engine(opened.network, opened.device, precision=opened.precision, photos=count, asked=asked.engine)
    callback.on_choice("engine", *engine)
    answers = Answers(photos, asked, config)
    # Where a model looks everywhere alike there is nothing to see of that, but of what counted for its answer there is.
    speaks = asked.overlay is not None and asked.overlay_map is None and evenly and not config.multi_label
    scored = score_photos(
        opened,
        Path(),
        [str(path) for path in photos.paths],
        batch_size=asked.batch_size,
        workers=asked.workers,
        hiding=Hiding(seed=0) if speaks or asked.overlay_map == "evidence" else None,
        on_unreadable=answers.refuse,
    )
    for one in scored:
        evidence = one.hidden.evidence[0] if one.hidden else None
        answers.add(
            one.index,
            one.prediction,
            look=one.look,
            placement=one.placement,
            evidence=evidence,
            missing=one.missing,
            picture=one.picture,
        )
        callback.on_progress("predicting", one.index + 1, len(photos.paths))
    for note in answers.notes:
        callback.on_note(note)
    return answers.rows


def predict_into_run(
    source: RunDir,
    images: Path,
    *,
    output: str | Path | None,
    device: str | None,
    callback: Callback,
    chosen: Sequence[str] | None = None,
    labelling: Labelling | None = None,
) -> RunDir:
    """A run folder of its own, for a report, with what the model of the run `source` says of `images`.

    Where only some of a folder's images are wanted, they are `chosen` by their paths below it. Where `labelling` names
    boxes, these are answered in the place of their photos, and lie in the run.
    """
    root = (images if images.is_dir() else images.parent).absolute()
    recipe, files, lost = read_recipe(source), list(chosen or list_images(images)), list[SkippedFile]()
    model = open_own_model(source, recipe, device=device)
    with ExitStack() as until_done:
        crops = until_done.enter_context(crops_folder(labelling, output))
        if labelling is not None and crops is not None:
            wanted = replace(labelling, load_truncated=recipe.data.load_truncated)
            files, lost = _cut_boxes(root, files, wanted, into=crops, callback=callback)
        run = new_run_dir(root.name, f"{source.root.name}-{'queue' if chosen else 'predicted'}", output=output)
        started = start_run(run, kind="predict", photos=root, card=model.config.card, device=str(model.device))
        until_done.enter_context(started)
        until_done.enter_context(recording_outcome(run))
        keep_crops(crops, run)
        write_text(run.recipe, source.recipe.read_text(encoding="utf-8"))
        written = (run.predictions, run.predictions_jsonl, run.attention, run.unreadable, run.overlays, run.shift)
        with recording_stage(run, "predict", written):
            root = photo_root(run)
            scored, unreadable = _score_files(model, root, files, recipe, callback)
            if not scored:
                raise DataError(f"none of the {len(files)} files in {images} could be read", command("inspect", images))
            write_scored(run, scored, model.config)
            if chosen is None:
                from pcn_cli.stages.shift import check_shift  # which brings SciPy's tests, and answers need none

                features = [one.features for one in scored if one.features is not None]
                shift = check_shift(run, source, [one.prediction for one in scored], features, root=root)
                if shift is not None:
                    callback.on_note(shift.sentence)
            UNREADABLE.write(run, [*lost, *unreadable])
            draw_overlays(run, scored, root=root, model=model, explain=recipe.explain, callback=callback)
    return run


def _cut_boxes(
    root: Path, files: Sequence[str], labelling: Labelling, *, into: Path, callback: Callback
) -> tuple[list[str], list[SkippedFile]]:
    """The crops of the photos below `root`, and the photos that cannot be read."""
    crops, lost, note = cut_below(root, files, labelling, into=into)
    callback.on_note(f"{len(crops):,} boxes of {len(files):,} photos are answered")
    if note:
        callback.on_note(note)
    return crops, lost


def _score_files(
    model: LoadedModel, root: Path, files: Sequence[str], recipe: Recipe, callback: Callback
) -> tuple[list[Scored], list[SkippedFile]]:
    """The answers to the files below `root`, and those that cannot be read."""
    scored, unreadable = list[Scored](), list[SkippedFile]()
    for one in score_photos(
        model,
        root,
        files,
        batch_size=recipe.evaluate.batch_size,
        workers=loading_workers(recipe, model.device),
        hiding=None if model.config.multi_label else Hiding(seed=recipe.seed),
        on_unreadable=lambda index, why: unreadable.append(SkippedFile(file=files[index], reason=why)),
    ):
        scored.append(one)
        callback.on_progress("predicting", len(scored) + len(unreadable), len(files))
    return scored, unreadable


def list_images(images: Path) -> list[str]:
    """The images in a folder by their paths below it, or the one that is named; a DataError where there is none."""
    root = (images if images.is_dir() else images.parent).absolute()
    files = [Path(os.path.relpath(path.absolute(), root)).as_posix() for path in gather_images([str(images)])]
    if not files:
        raise DataError(f"{images} holds no images", "name a folder of photos, or a photo")
    return files
