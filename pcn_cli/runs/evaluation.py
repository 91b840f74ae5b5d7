"""An evaluation as one value: made by `pcn evaluate`, or read from the files that it left in the run."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcn_cli.errors import command
from pcn_cli.records.change import Change
from pcn_cli.records.codec import to_plain
from pcn_cli.records.evaluation import Curves, LearningCurve, Trust
from pcn_cli.records.metrics import Candidate, ClassRow, Finding, Metric
from pcn_cli.records.model import ModelConfig
from pcn_cli.records.photos import Scan, SplitRow
from pcn_cli.records.predictions import Prediction, Suspect
from pcn_cli.records.slices import Slices
from pcn_cli.runs import store
from pcn_cli.runs.predictions import read_predictions
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.state import require


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What the run says of its photos; where these are new images without labels, only the predictions are there.

    `rows` are all photos with their parts, `model` is None where the model is another run's. `confusion` (K, K) counts
    photos by label and prediction; it is for charts, and None in what was read.
    """

    run: RunDir
    classes: tuple[str, ...]
    predictions: tuple[Prediction, ...]
    metrics: dict[str, Metric] = field(default_factory=dict)
    per_class: tuple[ClassRow, ...] = ()
    curves: Curves | None = None
    confusion: NDArray[np.int64] | None = field(default=None, compare=False)
    findings: tuple[Finding, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    suspects: tuple[Suspect, ...] = ()
    learning_curve: LearningCurve | None = None
    trust: Trust | None = None
    change: Change | None = None
    slices: Slices | None = None
    rows: tuple[SplitRow, ...] = ()
    scan: Scan | None = None
    model: ModelConfig | None = None

    def plain(self) -> dict[str, Any]:
        """The numbers as JSON."""
        numbers = {name: to_plain(getattr(self, name)) for name in ("metrics", "per_class", "findings")}
        sliced = {"slices": to_plain(self.slices)} if self.slices else {}
        return {"run": str(self.run.root), **numbers, **sliced}


def read_evaluation(run: RunDir) -> Evaluation:
    """What an evaluation, or a prediction of new images, left in the run.

    Raises:
        RunError: there are no predictions, or a file is damaged.
    """
    require(run, run.predictions, command("evaluate", run.root))
    predictions, classes = read_predictions(run.predictions)
    return Evaluation(
        run=run,
        classes=classes,
        predictions=predictions,
        metrics=store.METRICS.find(run) or {},
        per_class=store.PER_CLASS.read(run),
        curves=store.CURVES.find(run),
        findings=store.FINDINGS.find(run) or (),
        candidates=store.CANDIDATES.find(run) or (),
        suspects=store.SUSPECTS.read(run),
        learning_curve=store.LEARNING_CURVE.find(run),
        trust=store.TRUST.find(run),
        change=store.CHANGE.find(run),
        slices=store.SLICES.find(run),
        rows=store.read_split(run) if run.split.is_file() else (),
        scan=store.SCAN.find(run),
        model=store.MODEL_CONFIG.find(run),
    )
