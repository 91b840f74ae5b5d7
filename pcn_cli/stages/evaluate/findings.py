"""findings.json: what a person should know before they trust the numbers."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from pcn_cli.metrics.findings import findings, warnings_first
from pcn_cli.metrics.trust import trust_findings
from pcn_cli.records.evaluation import Trust
from pcn_cli.records.metrics import ClassRow, Finding, Metric
from pcn_cli.records.model import ModelConfig
from pcn_cli.records.photos import SplitRow
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.store import CANDIDATES, FINDINGS, NEIGHBOURS, SCAN, SUSPECTS
from pcn_cli.stages.photos import check_leaks


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
    scan = SCAN.read(run)
    facts = replace(
        check_leaks([*rows, *learned_from], scan.near_duplicates, alike=scan.alike),
        neighbours=NEIGHBOURS.read(run),
        metrics=metrics,
        per_class=per_class,
        train_counts=Counter(name for row in rows if row.split == "train" for name in row.labels),
        unreadable=scan.unreadable,
        candidates=CANDIDATES.find(run) or (),
        calibration=config.calibration,
        selection=config.selection,
        thresholds=config.thresholds,
        suspects=SUSPECTS.read(run),
    )
    found = warnings_first((*findings(facts), *(trust_findings(trust) if trust else ())))
    FINDINGS.write(run, found)
    return found
