"""Report: the files of a run as pages to look at, and the model card; no torch, unless images are predicted first."""

import shlex
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TypeVar, cast

from pcn_cli.data.boxes.cut import refuse_idle_crops
from pcn_cli.data.load.open_image import open_reduced
from pcn_cli.data.similar.leaks import find_ties
from pcn_cli.errors import RecipeError
from pcn_cli.files.atomic import sha256_of, write_text
from pcn_cli.files.cache import FileCache
from pcn_cli.files.folder import PICTURE_CACHE, cache_folder, hold_folder
from pcn_cli.files.names import refuse_inside
from pcn_cli.metrics.definitions import described
from pcn_cli.metrics.trust import describe_trust
from pcn_cli.recipe.arguments import checked
from pcn_cli.recipe.schema import Labelling, Recipe
from pcn_cli.records.codec import Stored
from pcn_cli.records.evaluation import Trust
from pcn_cli.records.photos import PARTS
from pcn_cli.records.predictions import AttentionMaps
from pcn_cli.report.content import Artifacts, ReportContent, Reproduce, ScanFacts
from pcn_cli.report.model_card import write_card
from pcn_cli.report.pictures import KeptPictures
from pcn_cli.report.write import LARGE, MANY_BYTES, write_report, write_single_report
from pcn_cli.runs.evaluation import Evaluation, read_evaluation
from pcn_cli.runs.predictions import read_attention
from pcn_cli.runs.rundir import RUNS, Artifact, RunDir, open_run
from pcn_cli.runs.state import photo_root, read_record, recording_stage
from pcn_cli.runs.store import UNREADABLE, Json, Table, read_recipe
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.desk import gather_desk
from pcn_cli.stages.earlier_runs import find_learned_rows

T = TypeVar("T", bound=Stored)


@checked
def report(
    run: str | Path | None = None,
    *,
    images: str | Path | None = None,
    labelling: Labelling | None = None,
    output: str | Path | None = None,
    device: str | None = None,
    single_file: bool = False,
    callback: Callback | None = None,
) -> Path:
    """The path of the report's page, written into the run; new `images` are first predicted into a run of their own.

    Where `labelling` names boxes, these are answered in the place of the photos; no label is read.

    With `single_file` it is one file that holds its data and pictures itself; the folder of the report stays as it is.

    Raises:
        RunError: there is no such run, or it was never evaluated.
        RecipeError: a single file would be too large, or an argument has no effect.
    """
    callback, labelling = callback or Callback(), labelling or Labelling()
    here = open_run(run)
    if images is not None:
        from pcn_cli.stages.predict import predict_into_run

        if labelling.crop_boxes is None:
            refuse_idle_crops(labelling)
        else:
            refuse_inside(Path(output) if output else RUNS, [Path(images)])
        here = predict_into_run(
            here, Path(images), labelling=labelling, output=output, device=device, callback=callback
        )
    else:
        idle: dict[str, object] = {"--output": output, "--device": device, "--crop-boxes": labelling.crop_boxes}
        idle |= {"--crop-confidence": labelling.crop_confidence, "--crop-category": labelling.crop_category}
        for flag, value in idle.items():
            if value is not None:
                raise RecipeError(f"{flag} has no effect without --images", "add --images DIR")
    with hold_folder(here.root):
        return report_run(here, single_file=single_file, callback=callback)


def report_run(
    run: RunDir, *, callback: Callback, single_file: bool = False, evaluation: Evaluation | None = None
) -> Path:
    """The path of the report's page; the caller holds the run, and its files are not read where it has `evaluation`."""
    content = gather_content(evaluation or read_evaluation(run))
    root, wanted = photo_root(run), read_recipe(run).report
    limit = int(wanted.picture_cache * 1e9)
    cache = FileCache(folder=cache_folder(PICTURE_CACHE), limit=limit)
    name, page = ("report-file", run.report_file) if single_file else ("report", run.report / "index.html")
    write, place = (write_single_report, run.report_file) if single_file else (write_report, run.report)
    with recording_stage(run, name, (page,)):
        write(
            place,
            content,
            open_photo=lambda file: open_reduced(root / file, _least, load_truncated=True).image,
            thumbnail=wanted.thumbnail,
            on_picture=lambda done, total: callback.on_progress("writing the report", done, total),
            kept=KeptPictures(cache=cache, hash_photo=lambda file: sha256_of(root / file)) if limit else None,
        )
    if single_file and (size := page.stat().st_size) > MANY_BYTES:
        callback.on_note(
            f"{page.name} has {size / 1e6:.1f} MB, which some mail programs refuse; the folder report/ loads faster"
        )
    return page


def _least(width: int, height: int) -> tuple[float, float]:
    """The size from which the report's largest picture of a photo is made."""
    scale = 1.5 * LARGE / max(width, height)
    return scale * width, scale * height


def write_model_card(evaluation: Evaluation) -> None:
    """Put the card beside the run's model, so that a model folder that is sent on tells what it was measured to do."""
    run = evaluation.run
    if evaluation.model is not None:
        photos = Path(read_record(run).photos).name
        write_text(run.model_card, write_card(describe_evaluation(evaluation), photos=photos))


def gather_content(evaluation: Evaluation) -> ReportContent:
    """What the evaluation, the maps and the charts of its run say, for the pages."""
    run = evaluation.run
    overlays = {one.file: run.overlay(index, one.file) for index, one in enumerate(evaluation.predictions)}
    charts = sorted(run.figures.glob("*.svg")) if run.figures.is_dir() else []
    return replace(
        describe_evaluation(evaluation),
        figures={path.stem: path.read_text(encoding="utf-8") for path in charts},
        maps=_find_maps(run),
        desk=gather_desk(evaluation),
        overlays={file: path for file, path in overlays.items() if path.is_file()},
    )


def _find_maps(run: RunDir) -> AttentionMaps | None:
    """The run's maps; None where they show nothing: an even look everywhere, and no evidence of classes beside it."""
    maps = read_attention(run.attention)
    return None if maps.evidence is None and maps.are_even else maps


def describe_evaluation(evaluation: Evaluation) -> ReportContent:
    """What the numbers and the photos say, without maps and charts: all that a model card needs."""
    run, record = evaluation.run, read_record(evaluation.run)
    kept = {
        "logistic regression": "logistic regression on the frozen trunk",
        "probe": "probe on the frozen trunk",
        "tuned": "fine-tuned",
    }.get(record.kept, "")
    facts = (record.card, kept, f"{len(evaluation.predictions):,} pictures", record.created[:10])
    train = Counter(row.label for row in evaluation.rows if row.split == "train")
    majority = min(train, key=lambda label: (-train[label], label)) if "baseline_majority" in evaluation.metrics else ""
    return ReportContent(
        title=read_recipe(run).report.title or run.root.name,
        run=run.root.name,
        part="test" if evaluation.metrics else "",
        facts=tuple(fact for fact in facts if fact),
        classes=evaluation.classes,
        predictions=evaluation.predictions,
        metrics=described(evaluation.metrics),
        majority=majority,
        candidates=evaluation.candidates,
        per_class=evaluation.per_class,
        confidence=evaluation.curves,
        findings=evaluation.findings,
        scan=_scan_facts(evaluation),
        model=evaluation.model,
        reproduce=Reproduce(
            command=shlex.join(record.argv),
            recipe=run.recipe.read_text(encoding="utf-8"),
            versions=record.versions,
            facts=(
                ("device", record.device),
                ("data fingerprint", record.fingerprint or "–"),
                ("made", record.created),
            ),
        ),
        artifacts=RunArtifacts(run),
    )


class RunArtifacts(Artifacts):
    """The files of `run` for the pages that read one of their own."""

    def __init__(self, run: RunDir) -> None:
        self._run = run

    def find(self, kind: type[T]) -> T | None:
        """What a JSON file of the run holds; None where there is no such file."""
        found = Json(Artifact(kind.ARTIFACT), kind).find(self._run)
        return cast("T", describe_trust(found)) if isinstance(found, Trust) else found

    def rows(self, kind: type[T]) -> tuple[T, ...]:
        """The rows of a table of the run, none where there is no such file."""
        return Table(Artifact(kind.ARTIFACT), kind).read(self._run)


def _scan_facts(evaluation: Evaluation) -> ScanFacts:
    rows, scan = evaluation.rows, evaluation.scan
    near = scan.near_duplicates if scan else ()
    shown = {prediction.file for prediction in evaluation.predictions}
    divided = {part: [row for row in rows if row.split == part] for part in PARTS} if rows else {}
    recipe = read_recipe(evaluation.run) if evaluation.run.recipe.is_file() else Recipe()
    return ScanFacts(
        parts={part: dict(Counter(name for row in own for name in row.labels)) for part, own in divided.items()},
        photos={part: len(own) for part, own in divided.items()},
        unreadable=scan.unreadable if scan else UNREADABLE.read(evaluation.run),
        ignored=len(scan.ignored) if scan else 0,
        leaks=find_ties([*rows, *find_learned_rows(recipe, rows)], near, differ="split"),
        conflicts=find_ties(rows, near, differ="label"),
        copies=find_ties(rows, near, differ="file"),
        files={photo.file: photo for photo in scan.photos if photo.file in shown} if scan else {},
    )
