"""What cross-validation says of the probe: the figures over all photos, and how far the folds lie apart."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pcn_cli.metrics.confidence import log_loss_metric
from pcn_cli.metrics.decisions import accuracy, macro_f1
from pcn_cli.metrics.inputs import collect_answers
from pcn_cli.records.metrics import Metric
from pcn_cli.records.predictions import FoldAnswer

PREFIX = "cross_validated_"
_FIGURES = {"accuracy": accuracy, "macro_f1": macro_f1, "log_loss": log_loss_metric}


def measure_folds(answers: Sequence[FoldAnswer], classes: Sequence[str]) -> dict[str, Metric]:
    """Accuracy, macro-F1 and log-loss over the photos of all folds, by key, and the spread of the folds' accuracies.

    The intervals take the answers for independent: they know of the photos that were drawn, not of how much the folds'
    probes have in common. There is nothing where there are no answers.
    """
    if not answers:
        return {}
    folds = np.array([answer.fold for answer in answers])
    together = collect_answers([a.label for a in answers], np.array([a.probabilities for a in answers]), classes)
    shares = [float(together.right[folds == fold].mean()) for fold in np.unique(folds)]
    how = f"{len(shares)} folds of the probe, {len(answers)} photos"
    metrics = {PREFIX + key: compute(together) for key, compute in _FIGURES.items()}
    spread = Metric(
        value=float(np.std(shares, ddof=1)),
        n=len(answers),
        method=f"standard deviation of the folds' accuracies, from {min(shares):.1%} to {max(shares):.1%}",
    )
    found = metrics | {f"{PREFIX}accuracy_spread": spread}
    return {key: replace(metric, method=f"{how}: {metric.method}") for key, metric in found.items()}
