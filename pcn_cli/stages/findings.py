"""findings.json: what a person should know before they trust the numbers."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence

from pcn_cli.files.atomic import write_json
from pcn_cli.metrics.findings import Facts, findings
from pcn_cli.records.codec import from_plain, to_plain
from pcn_cli.records.metrics import ClassRow, Metric
from pcn_cli.records.model import ModelConfig
from pcn_cli.records.photos import SplitRow, Unreadable
from pcn_cli.runs.rundir import RunDir
from pcn_cli.stages.candidates_file import read_candidates


def write_findings(
    run: RunDir,
    rows: Sequence[SplitRow],
    metrics: Mapping[str, Metric],
    per_class: Sequence[ClassRow],
    config: ModelConfig,
) -> None:
    """Put into the run what its numbers and its scan give cause to say."""
    scan = json.loads(run.scan.read_text(encoding="utf-8"))
    facts = Facts(
        metrics=metrics,
        per_class=per_class,
        train_counts=Counter(row.label for row in rows if row.split == "train"),
        unreadable=tuple(from_plain(Unreadable, plain) for plain in scan["unreadable"]),
        candidates=read_candidates(run),
        calibration=config.calibration,
        selection=config.selection,
    )
    write_json(run.findings, [to_plain(finding) for finding in findings(facts)])
