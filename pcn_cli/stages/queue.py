"""Queue: which of many unlabelled photos are worth a label first, in a run of their own whose report is a desk."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pcn_cli.data.scan.label_studio import make_tasks, make_view
from pcn_cli.errors import DataError, RecipeError, command
from pcn_cli.files.atomic import sha256_of, write_csv, write_json, write_text
from pcn_cli.metrics.nearest import find_nearest
from pcn_cli.metrics.queue import choose_queue
from pcn_cli.recipe.arguments import checked
from pcn_cli.recipe.schema import Count
from pcn_cli.records.desk import Card, Desk, Near
from pcn_cli.runs.features import read_features
from pcn_cli.runs.rundir import RunDir, open_run
from pcn_cli.runs.state import photo_root, read_record
from pcn_cli.runs.store import DESK, read_recipe, read_split
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.desk import UNSURE, as_typed, next_command
from pcn_cli.stages.inference.load import model_source, open_own_model
from pcn_cli.stages.inference.score import Scored, loading_workers, score_photos
from pcn_cli.stages.predict import list_images, predict_into_run
from pcn_cli.stages.refusals import refuse_early
from pcn_cli.stages.report import report_run

UNLIKE = "unlike anything learned"
_COLUMNS = ("rank", "file", "sha256", "looks_like", "p_looks_like", "why")


@dataclass(frozen=True, kw_only=True)
class Queue:
    """A queue in the run that holds it, with its report."""

    run: RunDir
    desk: Desk
    report: Path


@checked
def queue_photos(
    images: str | Path,
    count: Count,
    *,
    model: str | Path | None = None,
    output: str | Path | None = None,
    device: str | None = None,
    callback: Callback | None = None,
) -> Queue:
    """The `count` photos of the folder `images` worth a label first, as a desk, queue.csv and for Label Studio.

    Photos that the run `model` knows are left out, and of copies all but one.

    Raises:
        RunError: there is no such run. DataError: no image is there that the run does not know.
        RecipeError: its photos may have several labels.
    """
    callback, source, root = callback or Callback(), open_run(model), Path(images)
    model_source(source.root)  # which refuses a run without a model
    if not root.is_dir():
        raise DataError(f"{root} is no folder of photos", "name a folder, without labels")
    refuse_early(photos=root, output=output)
    files, passed = _new_files(root, source, callback)
    scored = _score(source, root, files, device=device, callback=callback)
    passed["unreadable"] += len(files) - len(scored)
    if scored[0].prediction.multi_label:
        raise RecipeError("--queue has no meaning with a model that may give a photo several labels", "leave it out")
    unlike = [one.prediction.unlike for one in scored]
    chosen = choose_queue(
        np.array([one.prediction.probabilities for one in scored]),
        np.array([one.features for one in scored]),
        None if None in unlike else np.array(unlike, dtype=np.float64),
        count=count,
    )
    queue = [scored[place] for place in chosen]
    if len(queue) < count:
        callback.on_note(_tell_short(len(queue), count, passed))
    run = predict_into_run(
        source,
        root,
        output=output,
        device=device,
        callback=callback,
        chosen=[one.prediction.file for one in queue],
    )
    desk = Desk(
        cards=_cards(queue, root, source),
        classes=tuple(sorted({row.label for row in read_split(source)})),
        command=next_command(source),
        folder=as_typed(root),
    )
    DESK.write(run, desk)
    _write_tables(run, desk, source)
    return Queue(run=run, desk=desk, report=report_run(run, callback=callback))


def _tell_short(found: int, count: int, passed: Counter[str]) -> str:
    """Why there are fewer photos than were asked for."""
    why = ", ".join(f"{number:,} {words}" for words, number in passed.items() if number)
    left_out = f"left out of the folder are {why}" if why else "the folder holds no more"
    return f"only {found:,} of the {count:,} photos asked for: {left_out}"


def _new_files(root: Path, source: RunDir, callback: Callback) -> tuple[list[str], Counter[str]]:
    """The images that the run does not know, each once, and how many were passed over and why."""
    known = {row.sha256 for row in read_split(source)}
    seen, passed = set(known), Counter[str]()
    files, found = list_images(root), list[str]()
    for number, file in enumerate(files, start=1):
        try:
            digest = sha256_of(root / file)
        except OSError:  # what cannot be read is not worth a label
            passed["unreadable"] += 1
            continue
        if digest not in seen:
            found.append(file)
        else:
            passed[f"known to {source.root}" if digest in known else "copies of others"] += 1
        seen.add(digest)
        callback.on_progress("looking at photos", number, len(files))
    if not found:
        raise DataError(f"{root} holds no photo that {source.root} does not know", command("predict", root))
    return found, passed


def _score(source: RunDir, root: Path, files: Sequence[str], *, device: str | None, callback: Callback) -> list[Scored]:
    recipe, scored = read_recipe(source), list[Scored]()
    opened = open_own_model(source, recipe, device=device)
    workers = loading_workers(recipe, opened.device)
    batch_size = recipe.evaluate.batch_size
    for one in score_photos(opened, root, files, batch_size=batch_size, workers=workers, on_unreadable=lambda *_: None):
        scored.append(one)
        callback.on_progress("predicting", one.index + 1, len(files))
    if not scored:
        raise DataError(f"none of the {len(files)} files in {root} could be read", command("inspect", root))
    return scored


def _cards(queue: Sequence[Scored], root: Path, source: RunDir) -> tuple[Card, ...]:
    """The photos with the known ones most like them, of the two most probable classes."""
    classes = tuple(sorted({row.label for row in read_split(source)}))
    near = _neighbours(queue, classes, source)
    return tuple(
        Card(
            file=one.prediction.file,
            sha256=sha256_of(root / one.prediction.file),
            looks_like=one.prediction.predicted,
            p_looks_like=one.prediction.confidence,
            why=UNLIKE if one.prediction.is_unlike else UNSURE,
            near=own,
        )
        for one, own in zip(queue, near, strict=True)
    )


def _neighbours(queue: Sequence[Scored], classes: Sequence[str], source: RunDir) -> list[tuple[Near, ...]]:
    """Known photos most like each, by absolute paths; none where the trunk was tuned after they were looked at."""
    record = read_record(source)
    if not source.features.is_file() or record.kept == "tuned":
        return [() for _ in queue]
    known = read_features(source.features)
    ranked = [np.argsort(one.prediction.probabilities)[::-1][:2] for one in queue]
    found = find_nearest(
        np.array([one.features for one in queue]),
        [[classes[place] for place in places] for places in ranked],
        known=known.features,
        labels=[row.label for row in known.rows],
        own=[None] * len(queue),
    )
    photos = photo_root(source)
    return [
        tuple(Near(file=str(photos / known.rows[place].file), label=known.rows[place].label) for place in places)
        for places in found
    ]


def _write_tables(run: RunDir, desk: Desk, source: RunDir) -> None:
    """Put the queue into the run for a spreadsheet and for Label Studio, with the interface that it needs."""
    rows = (
        (rank, card.file, card.sha256, card.looks_like, card.p_looks_like or "", card.why)
        for rank, card in enumerate(desk.cards, start=1)
    )
    write_csv(run.queue, _COLUMNS, rows)
    write_json(run.label_studio, make_tasks(desk, model=source.root.name))
    write_text(run.label_studio_view, make_view(desk.classes))
