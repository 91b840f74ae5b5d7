"""New images predicted into a run folder of their own, for a report."""

import os
from pathlib import Path

from pcn_cli.data.image_paths import gather_images
from pcn_cli.errors import DataError
from pcn_cli.files.atomic import write_csv, write_text
from pcn_cli.models.weights import Fetcher
from pcn_cli.runs.rundir import RunDir, new_run_dir
from pcn_cli.runs.state import recording_outcome, recording_stage, start_run
from pcn_cli.runs.store import read_recipe
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.evaluate_run import write_scored
from pcn_cli.stages.explain.overlays import draw_overlays
from pcn_cli.stages.inference.hiding import choose_hiding
from pcn_cli.stages.inference.load import open_model
from pcn_cli.stages.inference.score import score_photos
from pcn_cli.stages.inference.workers import loading_workers
from pcn_cli.training.device import choose_device


def predict_into_run(
    source: RunDir, images: Path, *, output: str | Path | None, device: str | None, callback: Callback
) -> RunDir:
    """A run folder with what the model of the run `source` says of `images`."""
    recipe = read_recipe(source)
    root = (images if images.is_dir() else images.parent).absolute()
    files = [Path(os.path.relpath(path.absolute(), root)).as_posix() for path in gather_images([str(images)])]
    if not files:
        raise DataError(f"{images} holds no images", "name a folder of photos, or a photo")
    network, config = open_model(source.root, fetch=Fetcher(offline=True))
    used = choose_device(device)
    run = RunDir(Path(output)) if output else new_run_dir(root.name, f"{source.root.name}-predicted")
    with start_run(run, kind="predict", photos=root, card=config.card, device=str(used)), recording_outcome(run):
        write_text(run.recipe, source.recipe.read_text(encoding="utf-8"))
        written = (run.predictions, run.predictions_jsonl, run.attention, run.unreadable, run.overlays)
        with recording_stage(run, "predict", written):
            unreadable: list[tuple[str, str]] = []
            scored = []
            for one in score_photos(
                network,
                config,
                root=root,
                files=files,
                device=used,
                batch_size=recipe.evaluate.batch_size,
                workers=loading_workers(recipe, used),
                hiding=choose_hiding(
                    len(files), checks=recipe.explain.checks, seed=recipe.seed, multi_label=config.multi_label
                ),
                on_unreadable=lambda index, reason: unreadable.append((files[index], reason)),
            ):
                scored.append(one)
                callback.on_progress("predicting", len(scored) + len(unreadable), len(files))
            if not scored:
                raise DataError(f"none of the {len(files)} files in {images} could be read", f"pcn inspect {images}")
            write_scored(run, scored, config)
            write_csv(run.unreadable, ("file", "reason"), unreadable)
            draw_overlays(run, scored, root=root, config=config, explain=recipe.explain, callback=callback)
    return run
