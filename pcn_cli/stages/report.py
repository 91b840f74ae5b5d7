"""Report: the files of a run as pages to look at. Needs no torch, unless new images are to be predicted first."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pcn_cli.data.leaks import find_conflicts, find_copies, find_leaks
from pcn_cli.data.open_image import open_photo
from pcn_cli.data.split import read_split
from pcn_cli.errors import RecipeError
from pcn_cli.files.atomic import read_csv
from pcn_cli.files.locks import hold_folder
from pcn_cli.records.codec import from_plain
from pcn_cli.records.curves import Curves
from pcn_cli.records.metrics import ClassRow, Finding, Metric
from pcn_cli.records.model import ModelConfig
from pcn_cli.records.photos import PARTS, Part, Photo, SplitRow, Unreadable
from pcn_cli.records.predictions import Prediction
from pcn_cli.records.run import RunRecord
from pcn_cli.report.content import Baseline, Hidden, LookMap, ReportContent, Reproduce, ScanFacts
from pcn_cli.report.single import MANY_BYTES, write_single_report
from pcn_cli.report.write import write_report
from pcn_cli.runs.provenance import shown_command
from pcn_cli.runs.rundir import RunDir, open_run
from pcn_cli.runs.state import read_record, recording_stage, require
from pcn_cli.stages.candidates_file import read_candidates
from pcn_cli.stages.history_file import read_history
from pcn_cli.stages.listener import Listener
from pcn_cli.stages.looks_file import Looks, read_looks
from pcn_cli.stages.overlay_names import overlay_path
from pcn_cli.stages.predictions_file import read_predictions
from pcn_cli.stages.recipe_file import read_recipe
from pcn_cli.stages.suspects_file import read_suspects
from pcn_cli.stages.trust_file import read_trust


def report(
    run: str | Path | None = None,
    *,
    images: str | Path | None = None,
    output: str | Path | None = None,
    device: str | None = None,
    single_file: bool = False,
    listener: Listener | None = None,
) -> Path:
    """The path of the report's page, written into the run; new `images` are first predicted into a run of their own.

    With `single_file` it is one file that holds its data and pictures itself; the folder of the report stays as it is.

    Raises:
        RunError: there is no such run, or it was never evaluated.
        RecipeError: a single file would be too large, or an argument has no effect.
    """
    listener = listener or Listener()
    here = open_run(None if run is None else Path(run))
    if images is not None:
        from pcn_cli.stages.predict_run import predict_into_run

        here = predict_into_run(here, Path(images), output=output, device=device, listener=listener)
    else:
        for flag, value in (("--output", output), ("--device", device)):
            if value is not None:
                raise RecipeError(f"{flag} has no effect without --images", "add --images DIR")
    with hold_folder(here.root):
        return report_run(here, single_file=single_file, listener=listener)


def report_run(run: RunDir, *, listener: Listener, single_file: bool = False) -> Path:
    """The path of the report's page; the caller holds the run."""
    require(run, run.predictions, f"measure it with `pcn evaluate {run.root}`")
    recipe = read_recipe(run.recipe)
    root = Path(read_record(run).photos)
    content = gather_content(run, title=recipe.report.title or run.root.name)
    name, page = ("report-file", run.report_file) if single_file else ("report", run.report / "index.html")
    write, place = (write_single_report, run.report_file) if single_file else (write_report, run.report)
    with recording_stage(run, name, (page,)):
        write(
            place,
            content,
            open_photo=lambda file: open_photo(root / file),
            thumbnail=recipe.report.thumbnail,
            on_picture=lambda done, total: listener.on_progress("writing the report", done, total),
        )
    if single_file and (size := page.stat().st_size) > MANY_BYTES:
        listener.on_note(
            f"{page.name} has {size / 1e6:.1f} MB, which some mail programs refuse; the folder report/ loads faster"
        )
    return page


def gather_content(run: RunDir, *, title: str) -> ReportContent:
    """Everything the run's files say, for the pages."""
    record = read_record(run)
    predictions, classes = read_predictions(run.predictions)
    looks = read_looks(run.attention)
    metrics = {name: from_plain(Metric, plain) for name, plain in _json(run.metrics, {}).items()}
    return ReportContent(
        title=title,
        run=run.root.name,
        part="test" if run.metrics.is_file() else "",
        facts=_facts(record, predictions),
        classes=classes,
        predictions=predictions,
        metrics=metrics,
        baseline=_baseline(run, metrics),
        candidates=read_candidates(run),
        per_class=_per_class(run),
        confidence=from_plain(Curves, _json(run.curves, {})) if run.curves.is_file() else None,
        findings=tuple(from_plain(Finding, plain) for plain in _json(run.findings, [])),
        history=read_history(run.history),
        figures=_figures(run),
        patch_grid=looks.patch_grid,
        looks={
            file: LookMap(values=values, placement=placement)
            for file, values, placement in zip(looks.files, looks.maps, looks.placements, strict=True)
        },
        hidden=_hidden(looks),
        overlays=_overlays(run, predictions),
        scan=_scan_facts(run, predictions),
        suspects=read_suspects(run),
        trust=read_trust(run.trust),
        model=from_plain(ModelConfig, _json(run.model_config, {})) if run.model_config.is_file() else None,
        reproduce=Reproduce(
            command=shown_command(record.argv),
            recipe=run.recipe.read_text(encoding="utf-8"),
            versions=record.versions,
            facts=(
                ("device", record.device),
                ("data fingerprint", record.fingerprint or "–"),
                ("made", record.created),
            ),
        ),
    )


def _json(path: Path, otherwise: Any) -> Any:  # noqa: ANN401 - whatever the file holds
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else otherwise


def _facts(record: RunRecord, predictions: tuple[Prediction, ...]) -> tuple[str, ...]:
    kept = {"probe": "probe on the frozen trunk", "tuned": "fine-tuned"}.get(record.kept, "")
    return tuple(fact for fact in (record.card, kept, f"{len(predictions):,} pictures", record.created[:10]) if fact)


def _baseline(run: RunDir, metrics: dict[str, Metric]) -> Baseline | None:
    majority = metrics.get("baseline_majority")
    if majority is None:
        return None
    train = Counter(row.label for row in read_split(run.split) if row.split == "train")
    most = min(train, key=lambda label: (-train[label], label))
    return Baseline(label=most, accuracy=majority)


def _per_class(run: RunDir) -> tuple[ClassRow, ...]:
    if not run.per_class.is_file():
        return ()
    return tuple(ClassRow.from_cells(row) for row in read_csv(run.per_class))


def _figures(run: RunDir) -> dict[str, str]:
    paths = sorted(run.figures.glob("*.svg")) if run.figures.is_dir() else []
    return {path.stem: path.read_text(encoding="utf-8") for path in paths}


def _hidden(looks: Looks) -> dict[str, Hidden]:
    """What hiding patches does to each photo; nothing in runs of older versions and with several labels."""
    given = (looks.evidence, looks.evidence_classes, looks.deletion, looks.insertion)
    arrays = [values for values in given if values is not None]
    if len(arrays) < len(given):
        return {}
    return {
        file: Hidden(evidence=evidence, classes=tuple(classes.tolist()), deletion=deletion, insertion=insertion)
        for file, evidence, classes, deletion, insertion in zip(looks.files, *arrays, strict=True)
    }


def _overlays(run: RunDir, predictions: tuple[Prediction, ...]) -> dict[str, Path]:
    paths = {prediction.file: overlay_path(run, index, prediction.file) for index, prediction in enumerate(predictions)}
    return {file: path for file, path in paths.items() if path.is_file()}


def _scan_facts(run: RunDir, predictions: tuple[Prediction, ...]) -> ScanFacts:
    rows = read_split(run.split) if run.split.is_file() else ()
    scan = _json(run.scan, {})
    near = scan.get("near_duplicates", [])  # runs of the first version have none
    shown = {prediction.file for prediction in predictions}
    return ScanFacts(
        parts={part: _count_labels(rows, part) for part in PARTS} if rows else {},
        photos={part: sum(row.split == part for row in rows) for part in PARTS} if rows else {},
        unreadable=tuple(Unreadable(**row) for row in read_csv(run.unreadable)) if run.unreadable.is_file() else (),
        ignored=len(scan.get("ignored", [])),
        leaks=find_leaks(rows, near),
        conflicts=find_conflicts(rows, near),
        copies=find_copies(rows, near),
        files={photo["file"]: from_plain(Photo, photo) for photo in scan.get("photos", []) if photo["file"] in shown},
    )


def _count_labels(rows: Sequence[SplitRow], part: Part) -> dict[str, int]:
    return dict(Counter(name for row in rows if row.split == part for name in row.labels))
