"""Predict: labels, probabilities and overlays for photos that nobody has labelled, for a caller or into a run."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from pcn_cli.data.image_paths import gather_images
from pcn_cli.errors import DataError, RecipeError, command
from pcn_cli.files.atomic import explaining_refusal, replacing, write_text
from pcn_cli.files.names import free_path, refuse_inside, safe_name
from pcn_cli.models.weights import Fetcher
from pcn_cli.recipe.arguments import with_predict_options
from pcn_cli.recipe.schema import PredictOptions
from pcn_cli.records.model import ModelConfig
from pcn_cli.records.photos import SkippedFile
from pcn_cli.runs.rundir import RunDir, new_run_dir, open_run
from pcn_cli.runs.state import recording_outcome, recording_stage, start_run
from pcn_cli.runs.store import UNREADABLE, read_recipe
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.explain.overlays import draw_overlays, save_overlay
from pcn_cli.stages.inference.hiding import Hiding
from pcn_cli.stages.inference.load import LoadedModel, open_model
from pcn_cli.stages.inference.score import Scored, loading_workers, score_photos, write_scored
from pcn_cli.tensors.network import Network

UNKNOWN = "unknown"
_NOT_SURE = "not sure"


@with_predict_options
def predict(
    images: str | Path | Sequence[str | Path],
    *,
    callback: Callback | None = None,
    **options: Any,  # noqa: ANN401 - many types
) -> list[dict[str, Any]]:
    """One answer per image, in the order given: `{"file", "label", "confidence", "unknown", "top", "sets", "error"}`.

    `top` holds `{"label", "p"}`, `sets` `{"level", "labels"}` where the model has conformal sets. Where the model has a
    threshold, a less sure photo has the label of `withheld_label`. A model of several labels answers
    `{"file", "labels", "confidence", "top", "error"}`, where `labels` holds `{"label", "p"}` for each that reaches its
    threshold, and may be empty. What is named twice is answered twice.

    `images` are files, folders (searched for images) and globs; where several are named, a missing one is an answer
    with `error`. The arguments are the options of `pcn predict`, whose `--help` tells what each means. Overlays, one
    per photo as `<name>.png`, replace those of an earlier call; copies replace nothing.

    Raises:
        DataError: no image was named.
        RecipeError: an argument has no effect beside the others, or no meaning with a model that gives several labels.
        ResourceError: a folder to write into is one that holds photos, or lies in one.
    """
    asked, callback = PredictOptions(**options), callback or Callback()
    if asked.overlay is None and asked.overlay_map is not None:
        raise RecipeError(f"--map {asked.overlay_map} has no effect without --overlay", "add --overlay DIR")
    if asked.overlay is None and asked.look != "spotlight":
        raise RecipeError(f"--look {asked.look} has no effect without --overlay", "add --overlay DIR")
    if asked.look != "spotlight" and asked.overlay_map == "evidence":
        raise RecipeError(f"--look {asked.look} has no effect with --map evidence", "leave one of the two out")
    sources = [os.fspath(source) for source in ([images] if isinstance(images, str | Path) else images)]
    paths = gather_images(sources)
    named = [Path(source) for source in sources if os.path.isdir(source)]  # noqa: PTH112 - never raises
    there = [path for path in paths if os.path.lexists(path)]
    folders = {path.parent for path in there} | {Path(os.path.realpath(path)).parent for path in there}  # of links, too
    holders = {Path(os.path.realpath(folder)) for folder in folders}
    given = (("--overlay", asked.overlay), ("--sort-into", asked.sort_into))
    targets = {option: Path(target) for option, target in given if target is not None}
    for option, target in targets.items():
        refuse_inside(target, named, holders, option=option)
    model = asked.model
    if model is None:
        model = open_run(None).root
        callback.on_note(f"using {model}, the latest finished run")
    fetch = Fetcher(offline=asked.offline, mirror=asked.mirror, callback=callback)
    opened = open_model(model, fetch=fetch, device=asked.device)
    config = opened.config
    if asked.sort_into is not None and config.multi_label:
        raise RecipeError(
            "--sort-into has no meaning with a model that may give a photo several labels",
            "pcn predict … --csv > labels.csv lists them",
        )
    if asked.overlay_map == "evidence" and config.multi_label:
        raise RecipeError(
            "--map evidence has no meaning with a model that may give a photo several labels", "leave --map out"
        )
    if asked.sort_into is not None:
        for label in (*config.classes, *((withheld_label(config.classes),) if config.selection else ())):
            refuse_inside(Path(asked.sort_into) / safe_name(label), named, holders, option="--sort-into")
    for option, target in targets.items():  # once nothing else is refused, and before the first photo is answered
        with explaining_refusal(target, elsewhere=f"name another folder with {option} DIR"):
            target.mkdir(parents=True, exist_ok=True)
    return _answer_photos(opened, paths, asked, callback)


def withheld_label(classes: Sequence[str]) -> str:
    """What a less sure photo is called instead of its class: `unknown`, or another word where a class is called so."""
    taken = {safe_name(name).casefold() for name in classes}
    words = (UNKNOWN, _NOT_SURE, *(f"{_NOT_SURE} {number}" for number in range(2, len(taken) + 2)))
    return next(word for word in words if word not in taken)


def _answer_photos(
    model: LoadedModel, paths: Sequence[Path], asked: PredictOptions, callback: Callback
) -> list[dict[str, Any]]:
    """An answer for each of `paths`; overlays and copies are written as they are `asked` for."""
    config, evenly = model.config, cast("Network", model.network).looks_evenly
    # Where a model looks everywhere alike there is nothing to see of that, but of what counted for its answer there is.
    speaks = asked.overlay is not None and asked.overlay_map is None and evenly and not config.multi_label
    answers = [_no_answer(str(path), config) for path in paths]
    taken: set[Path] = set()
    scored = score_photos(
        model,
        Path(),
        [str(path) for path in paths],
        batch_size=asked.batch_size,
        workers=asked.workers,
        hiding=Hiding(seed=0) if speaks or asked.overlay_map == "evidence" else None,
        on_unreadable=lambda index, reason: answers[index].update(error=reason),
    )
    for one in scored:
        path = paths[one.index]
        answers[one.index] = answer = _answer(one, config, top=asked.top)
        if asked.overlay is not None:
            target = free_path(Path(asked.overlay), f"{path.stem}.png", taken, replace=True)
            evidence = one.hidden.evidence[0] if one.hidden else None
            save_overlay(target, path, one, patch_grid=config.patch_grid, look=asked.look, evidence=evidence)
        if asked.sort_into is not None:
            copy = free_path(Path(asked.sort_into) / safe_name(answer["label"]), path.name, taken)
            with replacing(copy) as part:
                shutil.copyfile(path, part)
        callback.on_progress("predicting", one.index + 1, len(paths))
    return answers


def predict_into_run(
    source: RunDir, images: Path, *, output: str | Path | None, device: str | None, callback: Callback
) -> RunDir:
    """A run folder of its own, for a report, with what the model of the run `source` says of `images`."""
    recipe = read_recipe(source)
    root = (images if images.is_dir() else images.parent).absolute()
    files = [Path(os.path.relpath(path.absolute(), root)).as_posix() for path in gather_images([str(images)])]
    if not files:
        raise DataError(f"{images} holds no images", "name a folder of photos, or a photo")
    model = open_model(source.root, fetch=Fetcher(offline=True), device=device)
    config, unreadable, scored = model.config, list[SkippedFile](), list[Scored]()
    run = new_run_dir(root.name, f"{source.root.name}-predicted", output=output)
    started = start_run(run, kind="predict", photos=root, card=config.card, device=str(model.device))
    with started, recording_outcome(run):
        write_text(run.recipe, source.recipe.read_text(encoding="utf-8"))
        written = (run.predictions, run.predictions_jsonl, run.attention, run.unreadable, run.overlays)
        with recording_stage(run, "predict", written):
            for one in score_photos(
                model,
                root,
                files,
                batch_size=recipe.evaluate.batch_size,
                workers=loading_workers(recipe, model.device),
                hiding=None if config.multi_label else Hiding(seed=recipe.seed),
                on_unreadable=lambda index, why: unreadable.append(SkippedFile(file=files[index], reason=why)),
            ):
                scored.append(one)
                callback.on_progress("predicting", len(scored) + len(unreadable), len(files))
            if not scored:
                raise DataError(f"none of the {len(files)} files in {images} could be read", command("inspect", images))
            write_scored(run, scored, config)
            UNREADABLE.write(run, unreadable)
            draw_overlays(run, scored, root=root, model=model, explain=recipe.explain, callback=callback)
    return run


def _no_answer(file: str, config: ModelConfig) -> dict[str, Any]:
    """What is said of a file that was not scored, or not yet."""
    if config.multi_label:
        return {"file": file, "labels": (), "confidence": None, "top": (), "error": None}
    return {"file": file, "label": None, "confidence": None, "unknown": False, "top": (), "sets": (), "error": None}


def _answer(one: Scored, config: ModelConfig, *, top: int) -> dict[str, Any]:
    """What the model says of one file, the most probable labels first."""
    prediction, pairs = one.prediction, zip(one.prediction.probabilities, config.classes, strict=True)
    ordered = sorted(pairs, key=lambda pair: (-pair[0], pair[1]))
    ranked: list[dict[str, Any]] = [{"label": label, "p": p} for p, label in ordered]
    answer = _no_answer(prediction.file, config) | {"confidence": prediction.confidence, "top": tuple(ranked[:top])}
    if config.multi_label:
        return answer | {"labels": tuple(one for one in ranked if one["label"] in prediction.predicted_labels)}
    unknown = bool(prediction.unknown)
    sets = tuple(
        {"level": one.level, "labels": tuple(each["label"] for each in ranked if each["p"] >= one.least_probability)}
        for one in config.conformal
        if one.least_probability is not None
    )
    label = withheld_label(config.classes) if unknown else prediction.predicted
    return answer | {"label": label, "unknown": unknown, "sets": sets}
