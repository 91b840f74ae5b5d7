"""candidates.json: the models that were compared, which was kept, and what each reached."""

import json
from collections.abc import Sequence

from pcn_cli.files.atomic import write_json
from pcn_cli.records.codec import from_plain, to_plain
from pcn_cli.records.metrics import Candidate, Metric
from pcn_cli.runs.rundir import RunDir

_KEYS = {"logistic regression": "baseline_logistic"}


def write_candidates(run: RunDir, candidates: Sequence[Candidate]) -> None:
    """Put `candidates` into the run."""
    write_json(run.candidates, [to_plain(candidate) for candidate in candidates])


def read_candidates(run: RunDir) -> tuple[Candidate, ...]:
    """The candidates of the run; none where nothing was trained."""
    if not run.candidates.is_file():
        return ()
    return tuple(from_plain(Candidate, plain) for plain in json.loads(run.candidates.read_text(encoding="utf-8")))


def candidate_metrics(candidates: Sequence[Candidate], *, kept: Metric) -> dict[str, Metric]:
    """The test figures of `candidates` under the names that metrics.json uses; that of the kept one is `kept`."""
    figures = {_key(c): kept if c.kept else c.headline for c in candidates}
    return {key: value for key, value in figures.items() if value is not None}


def _key(candidate: Candidate) -> str:
    figure = "mean_average_precision" if candidate.mean_average_precision else "accuracy"
    return _KEYS.get(candidate.name, f"{candidate.name}_{figure}")
