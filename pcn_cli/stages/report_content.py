"""What a run's files say, gathered for the pages of the report and for the model card."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar, cast

from pcn_cli.data.similar.leaks import find_conflicts, find_copies, find_leaks
from pcn_cli.metrics.definitions import described
from pcn_cli.metrics.trust import describe_trust
from pcn_cli.records.evaluation import Trust
from pcn_cli.records.metrics import Metric
from pcn_cli.records.photos import PARTS, Part, SplitRow
from pcn_cli.records.predictions import Prediction
from pcn_cli.records.run import RunRecord
from pcn_cli.report.content import Artifacts, Baseline, Hidden, LookMap, ReportContent, Reproduce, ScanFacts
from pcn_cli.runs.attention import Looks, read_looks
from pcn_cli.runs.predictions import read_predictions
from pcn_cli.runs.provenance import shown_command
from pcn_cli.runs.rundir import Artifact, RunDir
from pcn_cli.runs.state import read_record
from pcn_cli.runs.store import (
    CANDIDATES,
    CURVES,
    FINDINGS,
    METRICS,
    MODEL_CONFIG,
    PER_CLASS,
    SCAN,
    UNREADABLE,
    Json,
    Table,
    read_recipe,
    read_split,
)

T = TypeVar("T")


def gather_content(run: RunDir) -> ReportContent:
    """Everything the run's files say, for the pages."""
    figures, looks = gather_figures(run), read_looks(run.attention)
    return replace(
        figures,
        patch_grid=looks.patch_grid,
        looks={
            file: LookMap(values=values, placement=placement)
            for file, values, placement in zip(looks.files, looks.maps, looks.placements, strict=True)
        },
        hidden=_hidden(looks),
        overlays=_overlays(run, figures.predictions),
    )


def gather_figures(run: RunDir) -> ReportContent:
    """What the run's files say but for its maps, which are large and take time to read."""
    record = read_record(run)
    predictions, classes = read_predictions(run.predictions)
    metrics = described(METRICS.find(run) or {})
    return ReportContent(
        title=read_recipe(run).report.title or run.root.name,
        run=run.root.name,
        part="test" if run.metrics.is_file() else "",
        facts=_facts(record, predictions),
        classes=classes,
        predictions=predictions,
        metrics=metrics,
        baseline=_baseline(run, metrics),
        candidates=CANDIDATES.find(run) or (),
        per_class=PER_CLASS.read(run),
        confidence=CURVES.find(run),
        findings=FINDINGS.find(run) or (),
        figures=_figures(run),
        scan=_scan_facts(run, predictions),
        model=MODEL_CONFIG.find(run),
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
        artifacts=RunArtifacts(run),
    )


class RunArtifacts(Artifacts):
    """The files of `run` for the pages that read one of their own."""

    def __init__(self, run: RunDir) -> None:
        self._run = run

    def find(self, name: str, kind: type[T]) -> T | None:
        """What a JSON file of the run holds; None where there is no such file."""
        found = Json(Artifact(name), kind).find(self._run)
        return cast("T", describe_trust(found)) if isinstance(found, Trust) else found

    def rows(self, name: str, kind: type[T]) -> tuple[T, ...]:
        """The rows of a table of the run, none where there is no such file."""
        return Table(Artifact(name), kind).read(self._run)


def _facts(record: RunRecord, predictions: tuple[Prediction, ...]) -> tuple[str, ...]:
    kept = {"probe": "probe on the frozen trunk", "tuned": "fine-tuned"}.get(record.kept, "")
    return tuple(fact for fact in (record.card, kept, f"{len(predictions):,} pictures", record.created[:10]) if fact)


def _baseline(run: RunDir, metrics: dict[str, Metric]) -> Baseline | None:
    majority = metrics.get("baseline_majority")
    if majority is None:
        return None
    train = Counter(row.label for row in read_split(run) if row.split == "train")
    most = min(train, key=lambda label: (-train[label], label))
    return Baseline(label=most, accuracy=majority)


def _figures(run: RunDir) -> dict[str, str]:
    paths = sorted(run.figures.glob("*.svg")) if run.figures.is_dir() else []
    return {path.stem: path.read_text(encoding="utf-8") for path in paths}


def _hidden(looks: Looks) -> dict[str, Hidden]:
    """What hiding patches does to each photo; nothing in runs of older versions and with several labels."""
    given = (looks.evidence, looks.evidence_classes, looks.deletion, looks.insertion)
    arrays = [values for values in given if values is not None]
    if len(arrays) < len(given):
        return {}
    own = looks.class_looks
    return {
        file: Hidden(
            evidence=evidence,
            classes=tuple(classes.tolist()),
            deletion=deletion,
            insertion=insertion,
            class_looks=None if own is None else own[number],
        )
        for number, (file, evidence, classes, deletion, insertion) in enumerate(zip(looks.files, *arrays, strict=True))
    }


def _overlays(run: RunDir, predictions: tuple[Prediction, ...]) -> dict[str, Path]:
    paths = {prediction.file: run.overlay(index, prediction.file) for index, prediction in enumerate(predictions)}
    return {file: path for file, path in paths.items() if path.is_file()}


def _scan_facts(run: RunDir, predictions: tuple[Prediction, ...]) -> ScanFacts:
    rows = read_split(run) if run.split.is_file() else ()
    scan = SCAN.find(run)
    near = scan.near_duplicates if scan else ()
    shown = {prediction.file for prediction in predictions}
    return ScanFacts(
        parts={part: _count_labels(rows, part) for part in PARTS} if rows else {},
        photos={part: sum(row.split == part for row in rows) for part in PARTS} if rows else {},
        unreadable=UNREADABLE.read(run),
        ignored=len(scan.ignored) if scan else 0,
        leaks=find_leaks(rows, near),
        conflicts=find_conflicts(rows, near),
        copies=find_copies(rows, near),
        files={photo.file: photo for photo in scan.photos if photo.file in shown} if scan else {},
    )


def _count_labels(rows: Sequence[SplitRow], part: Part) -> dict[str, int]:
    return dict(Counter(name for row in rows if row.split == part for name in row.labels))
