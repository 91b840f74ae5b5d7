"""findings.json: what a person should know before they trust the numbers."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from pcn_cli.metrics.findings import findings, warnings_first
from pcn_cli.metrics.trust import trust_findings
from pcn_cli.records.metrics import Finding
from pcn_cli.records.photos import SplitRow
from pcn_cli.runs.evaluation import Evaluation
from pcn_cli.runs.store import FINDINGS, NEIGHBOURS, SCAN
from pcn_cli.stages.photos import check_leaks


def write_findings(evaluation: Evaluation, *, learned_from: Sequence[SplitRow] = ()) -> tuple[Finding, ...]:
    """What the numbers and the scan give cause to say, as now written into the run; warnings come first.

    `learned_from` are photos that the model learned from elsewhere, with paths that the run's own do not have.
    """
    run, rows, curves = evaluation.run, evaluation.rows, evaluation.curves
    scan = evaluation.scan or SCAN.read(run)
    facts = replace(
        check_leaks([*rows, *learned_from], scan.near_duplicates, alike=scan.alike),
        neighbours=NEIGHBOURS.read(run),
        metrics=evaluation.metrics,
        per_class=evaluation.per_class,
        train_counts=Counter(name for row in rows if row.split == "train" for name in row.labels),
        unreadable=scan.unreadable,
        candidates=evaluation.candidates,
        calibration=curves.calibration if curves else None,
        selection=curves.selection if curves else None,
        thresholds=curves.thresholds if curves else (),
        suspects=evaluation.suspects,
    )
    maps = trust_findings(evaluation.trust) if evaluation.trust else ()
    found = warnings_first((*findings(facts), *maps))
    FINDINGS.write(run, found)
    return found
