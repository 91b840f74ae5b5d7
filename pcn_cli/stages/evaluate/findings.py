"""findings.json: what a person should know before they trust the numbers."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from pcn_cli.files.atomic import write_json
from pcn_cli.metrics.findings import Facts, findings, warnings_first
from pcn_cli.metrics.photo_findings import photo_findings
from pcn_cli.metrics.trust import trust_findings
from pcn_cli.records.codec import from_plain, to_plain
from pcn_cli.records.evaluation import Trust
from pcn_cli.records.metrics import ClassRow, Finding, Metric
from pcn_cli.records.model import ModelConfig
from pcn_cli.records.photos import SplitRow, Unreadable
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.store.candidates import read_candidates
from pcn_cli.runs.store.suspects import read_suspects
from pcn_cli.stages.photos import check_scan_leaks
from pcn_cli.stages.train.neighbours import read_neighbours


def write_findings(
    run: RunDir,
    rows: Sequence[SplitRow],
    metrics: Mapping[str, Metric],
    per_class: Sequence[ClassRow],
    config: ModelConfig,
    trust: Trust | None,
    *,
    learned_from: Sequence[SplitRow] = (),
) -> tuple[Finding, ...]:
    """What the run's numbers and its scan give cause to say, as it was put into the run; warnings come first.

    Args:
        run: where.
        rows: the run's photos with their parts.
        metrics: of the test part.
        per_class: of the test part.
        config: of the model, for what calibration promised.
        trust: what was checked of the maps, where that was.
        learned_from: photos that the model learned from elsewhere, with paths that `rows` do not have.
    """
    scan = json.loads(run.scan.read_text(encoding="utf-8"))
    facts = Facts(
        metrics=metrics,
        per_class=per_class,
        train_counts=Counter(name for row in rows if row.split == "train" for name in row.labels),
        unreadable=tuple(from_plain(Unreadable, plain) for plain in scan["unreadable"]),
        candidates=read_candidates(run),
        calibration=config.calibration,
        selection=config.selection,
        thresholds=config.thresholds,
        suspects=read_suspects(run),
    )
    leaks = check_scan_leaks(scan, [*rows, *learned_from])
    told = (*photo_findings(replace(leaks, neighbours=read_neighbours(run))), *findings(facts))
    found = warnings_first((*told, *(trust_findings(trust) if trust else ())))
    write_json(run.findings, [to_plain(finding) for finding in found])
    return found


def read_findings(run: RunDir) -> tuple[Finding, ...]:
    """What `write_findings` put into the run."""
    return tuple(from_plain(Finding, plain) for plain in json.loads(run.findings.read_text(encoding="utf-8")))
