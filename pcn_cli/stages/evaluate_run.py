"""Evaluate: the scores, the numbers and the maps of the test part, in one pass."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from pcn_cli.data.boxes.read import read_boxes
from pcn_cli.data.masks import find_masks
from pcn_cli.data.scan.listed_files import last_name
from pcn_cli.data.scan.scan_photos import other_part
from pcn_cli.errors import DataError, RecipeError
from pcn_cli.files.folder import hold_folder
from pcn_cli.files.names import refuse_inside
from pcn_cli.metrics.trust import mask_metrics
from pcn_cli.models.sources import find_source
from pcn_cli.models.weights import Fetcher
from pcn_cli.recipe.arguments import checked
from pcn_cli.recipe.load import load_recipe
from pcn_cli.recipe.schema import Labelling, Recipe
from pcn_cli.records.model import ModelConfig
from pcn_cli.records.photos import Box, Scan, SplitRow
from pcn_cli.runs.evaluation import Evaluation
from pcn_cli.runs.rundir import RUNS, RunDir, new_run_dir, open_run
from pcn_cli.runs.state import photo_root, read_record, recording_outcome, recording_stage, start_run, update_record
from pcn_cli.runs.store import SCAN, TRUST, read_recipe, write_recipe, write_scan, write_split
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.crops import crops_folder, keep_crops
from pcn_cli.stages.earlier_runs import find_learned_rows
from pcn_cli.stages.evaluate.change import measure_change
from pcn_cli.stages.evaluate.numbers import draw_figures, measure_predictions, write_findings
from pcn_cli.stages.evaluate.slices import write_slices
from pcn_cli.stages.evaluate.surroundings import write_surroundings
from pcn_cli.stages.evaluate.threshold import open_retargetable, open_source, retarget_run
from pcn_cli.stages.explain.masks import compare_with_masks
from pcn_cli.stages.explain.overlays import draw_overlays
from pcn_cli.stages.explain.trust import check_maps
from pcn_cli.stages.inference.hiding import choose_hiding
from pcn_cli.stages.inference.load import LoadedModel, model_source, open_model, open_own_model
from pcn_cli.stages.inference.score import score_rows, write_scored
from pcn_cli.stages.photos import read_unchanged, scan_folder
from pcn_cli.stages.report import write_model_card
from pcn_cli.training.tokens import TokenCache


@checked
def evaluate(
    run: str | Path | None = None,
    *,
    photos: str | Path | None = None,
    images: str | Path | None = None,
    labelling: Labelling | None = None,
    boxes: str | Path | None = None,
    masks: str | Path | None = None,
    target_accuracy: float | None = None,
    output: str | Path | None = None,
    device: str | None = None,
    callback: Callback | None = None,
) -> Evaluation:
    """The numbers of a run's test part, measured anew; or of a model on other labelled photos, in a run of their own.

    Where the folder of the run's photos has moved, `photos` is its new place, which the run then keeps.
    With `images` the model may also be a card or a model folder, and only their test part is measured where they come
    with parts; `labelling` says what names their classes. With `target_accuracy` a threshold is chosen for it on
    the run's validation photos; the model with it gets a run of its own, and that of `run` stays as it was. `boxes` is
    a table of the boxes around the objects, `masks` a folder of their masks, which the maps are tested against.

    Raises:
        RunError: there is no such run, its photos changed, or it has no validation photos for `target_accuracy`.
        RecipeError: an argument has no effect beside the others.
        DataError: `images` hold classes that the model lacks, or `boxes` is no table of boxes of these photos.
    """
    callback = callback or Callback()
    truth = {
        "evaluate.boxes": str(Path(boxes).resolve()) if boxes else None,
        "evaluate.masks": str(Path(masks).resolve()) if masks else None,
    }
    if photos is not None and (images is not None or target_accuracy is not None):
        raise RecipeError(
            "--photos has no effect with --images or --target-accuracy", "pcn evaluate RUN --photos FOLDER first"
        )
    if images is not None:
        if target_accuracy is not None:
            raise RecipeError(
                "--target-accuracy has no effect with --images: a threshold is chosen on a run's own validation photos",
                "pcn evaluate RUN --target-accuracy first, then --images with the run that it makes",
            )
        with ExitStack() as scratch:
            return _evaluate_images(
                run,
                Path(images),
                labelling=labelling,
                truth=truth,
                output=output,
                device=device,
                scratch=scratch,
                callback=callback,
            )
    if labelling is not None and (words := labelling.words()):
        raise RecipeError(f"{words[0]} has no effect without --images", "add --images PHOTOS")
    if target_accuracy is not None:
        source = open_source(run)
        return _evaluate_target(source, target_accuracy, truth=truth, output=output, device=device, callback=callback)
    if output is not None:
        raise RecipeError("--output has no effect without --images or --target-accuracy", "add --images PHOTOS")
    here = open_run(run)
    with hold_folder(here.root):
        if photos is not None and here.crops.is_dir():
            raise RecipeError(f"--photos has no effect: {here.root} holds the crops of its photos", "leave it out")
        moved = None if photos is None else Path(photos).resolve()
        rows = read_unchanged(here, photos=moved)
        recipe = load_recipe(here.recipe, flags=dict(truth)).recipe
        model = open_own_model(here, recipe, device=device)
        if moved is not None:
            update_record(here, photos=str(moved))
        return evaluate_run(here, model, rows, SCAN.read(here), recipe=recipe, callback=callback)


def _evaluate_images(
    source: str | Path | None,
    photos: Path,
    *,
    labelling: Labelling | None,
    truth: Mapping[str, str | None],
    output: str | Path | None,
    device: str | None,
    scratch: ExitStack,
    callback: Callback,
) -> Evaluation:
    """The numbers of other labelled photos, in a run of their own; what is only needed meanwhile is in `scratch`."""
    name = model_source(source)
    find_source(name).check_available(offline=False)  # before thousands of photos are read
    if labelling is not None and labelling.crop_boxes is not None:
        refuse_inside(Path(output) if output else RUNS, [photos])
    crops = scratch.enter_context(crops_folder(labelling, output))
    scan = scan_folder(photos, labelling=labelling, only="test", crops=crops, callback=callback)
    model = open_model(name, fetch=Fetcher(callback=callback), device=device)
    _refuse_other_labels(scan, model.config, photos)
    others = sum(one.reason == other_part("test") for one in scan.ignored)
    if others:
        found = len(scan.photos)
        callback.on_note(f"only their test part is measured: {found:,} of {found + others:,} photos")
    rows = [
        SplitRow(file=photo.file, label=photo.label, split="test", sha256=photo.sha256, multi_label=scan.multi_label)
        for photo in scan.photos
    ]
    trained = open_run(source) if name != str(source) else None
    # A run's own boxes are around its own photos. What measures itself begins with the model that it measures.
    begun = {"model.name": str(Path(name).resolve()) if Path(name).exists() else name, "model.pretrained": True}
    recipe = (read_recipe(trained) if trained else Recipe()).replace({**truth, **begun})
    cropped = str(Path(labelling.crop_boxes).resolve()) if labelling and labelling.crop_boxes else None
    truncated_too = labelling is not None and labelling.load_truncated
    recipe = recipe.replace({"data.crop_boxes": cropped, "data.load_truncated": truncated_too})
    stem = trained.root.name if trained else Path(name).name
    run = new_run_dir(photos, f"{stem}-evaluated", output=output)
    started = start_run(run, kind="evaluate", photos=photos, card=model.config.card, device=str(model.device))
    with started, recording_outcome(run):
        keep_crops(crops, run)
        write_scan(run, scan)
        write_recipe(run, recipe, {})
        write_split(run, rows)
        return evaluate_run(run, model, rows, scan, recipe=recipe, callback=callback)


def _evaluate_target(
    source: RunDir,
    target: float,
    *,
    truth: Mapping[str, str | None],
    output: str | Path | None,
    device: str | None,
    callback: Callback,
) -> Evaluation:
    """The numbers with the threshold for another wished accuracy, in a run of their own."""
    flags = {"evaluate.target_accuracy": target, **truth}
    recipe = load_recipe(source.recipe, flags=flags).recipe
    rows, made = read_unchanged(source), read_record(source)
    model = open_retargetable(source, rows, device=device)
    run = new_run_dir(source.root.name, "threshold", output=output)
    started = start_run(run, kind="evaluate", photos=photo_root(source), card=made.card, device=str(model.device))
    with started, recording_outcome(run):
        model = retarget_run(run, source, rows, model=model, target=target, recipe=recipe, callback=callback)
        return evaluate_run(run, model, rows, SCAN.read(run), recipe=recipe, callback=callback)


def evaluate_run(
    run: RunDir,
    model: LoadedModel,
    rows: Sequence[SplitRow],
    scan: Scan,
    *,
    recipe: Recipe,
    callback: Callback,
    tokens: TokenCache | None = None,
) -> Evaluation:
    """The numbers of the test part of `rows`, with their files and the maps written into the run; the caller holds it.

    The photos are known to be unchanged; `scan` is what was found of them. `tokens` are those that the trunk gives of
    the test part, where they are known exactly.
    """
    root, config = photo_root(run), model.config
    test = [row for row in rows if row.split == "test"]
    boxes, masks = find_marks(recipe, test, scan, root=root)
    hiding = choose_hiding(len(test), recipe, model)
    if hiding is not None:
        hiding = replace(hiding, labels=tuple(row.label for row in test))
    photos = (run.predictions, run.predictions_jsonl, run.suspects, run.attention, run.overlays, run.alike, run.places)
    numbers = (run.per_class, run.confusion, run.metrics, run.curves, run.figures)
    with recording_stage(
        run, "evaluate", (*photos, *numbers, run.change, run.slices, run.findings, run.trust, run.model_card)
    ):
        scored = score_rows(model, test, root=root, recipe=recipe, hiding=hiding, callback=callback, tokens=tokens)
        write_scored(run, scored, config)
        draw_overlays(run, scored, root=root, model=model, explain=recipe.explain, callback=callback)
        predictions = [one.prediction for one in scored]
        on_masks = compare_with_masks(scored, masks, config.patch_grid)
        evaluation = measure_predictions(
            run, predictions, rows, scan, config=config, recipe=recipe, boxes=boxes, further=mask_metrics(on_masks)
        )
        if hiding is not None:
            trust = check_maps(model, scored, root=root, boxes=boxes, hiding=hiding, recipe=recipe, callback=callback)
            trust = replace(trust, checks=(*trust.checks, *on_masks))
            TRUST.write(run, trust)
            evaluation = replace(evaluation, trust=trust)
        if read_record(run).kind == "train":
            evaluation = replace(evaluation, change=measure_change(run, recipe, rows, predictions))
        slices = write_slices(run, predictions, rows, scan, root=root, recipe=recipe)
        evaluation = replace(evaluation, slices=slices)
        write_surroundings(run, predictions, config.classes)
        draw_figures(evaluation)
        evaluation = replace(
            evaluation, findings=write_findings(evaluation, scan, learned_from=find_learned_rows(recipe, rows))
        )
        write_model_card(evaluation)
    return evaluation


def find_marks(
    recipe: Recipe, test: Sequence[SplitRow], scan: Scan, *, root: Path
) -> tuple[dict[str, list[Box]], dict[str, Path]]:
    """The boxes and the masks of the photos that are measured, where the recipe names such.

    Raises:
        DataError: one is none, or no photo has any.
    """
    boxes, masks = dict[str, list[Box]](), dict[str, Path]()
    if recipe.evaluate.boxes:
        boxes = read_boxes(Path(recipe.evaluate.boxes), names={last_name(row.file) for row in test})
        if not any(row.file in boxes for row in test):
            hint = f"the table names photos below {root}, such as {test[0].file}" if test else ""
            raise DataError("no photo that was measured has a box", hint)
    if recipe.evaluate.masks:
        sizes = {photo.file: (photo.width, photo.height) for photo in scan.photos}
        masks = find_masks(Path(recipe.evaluate.masks), {row.file: sizes[row.file] for row in test})
    return boxes, masks


def _refuse_other_labels(scan: Scan, config: ModelConfig, photos: Path) -> None:
    """Refuse photos that are not labelled as the model answers: with one label each or several, of its own classes."""
    if config.multi_label and not scan.multi_label:
        message = f"the model may give a photo several labels, and {scan.root} has one for each"
        raise DataError(message, "name a table with the columns file,labels with --labels FILE")
    if scan.multi_label and not config.multi_label:
        message = f"the table gives photos of {scan.root} several labels, and the model gives one to each"
        raise DataError(message, "name a table with the columns file,label with --labels FILE")
    unknown = sorted(set(scan.classes) - set(config.classes))
    if unknown or not scan.photos:
        found = f"classes that the model does not know: {', '.join(unknown)}" if unknown else "no photos"
        raise DataError(f"{photos} holds {found}", f"the model knows {', '.join(config.classes)}")
