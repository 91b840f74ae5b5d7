"""From a model's answers to its numbers: metrics, the table of classes, what calibration and folds give."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from sklearn.metrics import average_precision_score

from pcn_cli.metrics.conformal import measure_sets
from pcn_cli.metrics.definitions import FOLDS, METRICS
from pcn_cli.metrics.inputs import Inputs, SingleLabel
from pcn_cli.metrics.selective import measure_threshold
from pcn_cli.records.metrics import Candidate, ClassRow, Metric
from pcn_cli.records.model import ModelConfig
from pcn_cli.records.predictions import FoldAnswer


def measure(inputs: Inputs) -> dict[str, Metric]:
    """Every metric that can be measured, by key: the headline first, the others in display order."""
    found = {row.key.format(**vars(inputs)): metric for row in METRICS if (metric := row.measure(inputs)) is not None}
    return {key: found[key] for key in sorted(found, key=lambda key: key != inputs.headline)}


def measure_headline(inputs: Inputs) -> Metric | None:
    """The figure that models are compared by: accuracy, or of several labels mean average precision."""
    return next(row.measure(inputs) for row in METRICS if row.key == inputs.headline)


def measure_calibration(inputs: Inputs, config: ModelConfig) -> dict[str, Metric]:
    """Temperature, threshold and sets of the model, with what they give on these photos, by key."""
    metrics, how = {}, config.calibration
    if how:
        photos, method = 0, f"1, not fitted: {how.validation_photos} validation photos are too few"
        if how.log_loss_before is not None and how.log_loss_after is not None:
            photos, fitted = how.photos, f"fitted on {how.photos} of {how.validation_photos} validation photos"
            method = f"{fitted}, whose log-loss it took from {how.log_loss_before:.4f} to {how.log_loss_after:.4f}"
        metrics["temperature"] = Metric(value=config.temperature, n=photos, method=method)
    if isinstance(inputs, SingleLabel):
        if config.selection:
            metrics |= measure_threshold(inputs, config.selection)
        for level in config.conformal:
            metrics |= measure_sets(inputs, level)
    return metrics


def measure_folds(answers: Sequence[FoldAnswer], classes: Sequence[str]) -> dict[str, Metric]:
    """What cross-validation says of the probe: figures over the photos of all folds, and the spread of the accuracies.

    The intervals take the answers for independent: they know of the photos that were drawn, not of how much the folds'
    probes have in common. There is nothing where there are no answers.
    """
    if not answers:
        return {}
    folds = np.array([answer.fold for answer in answers])
    inputs = SingleLabel([a.label for a in answers], np.array([a.probabilities for a in answers]), classes)
    shares = [float(inputs.right[folds == fold].mean()) for fold in np.unique(folds)]
    metrics = {FOLDS + row.key: row.measure(inputs) for row in METRICS if row.weigh}
    metrics[f"{FOLDS}accuracy_spread"] = Metric(
        value=float(np.std(shares, ddof=1)),
        n=len(answers),
        method=f"standard deviation of the folds' accuracies, from {min(shares):.1%} to {max(shares):.1%}",
    )
    how = f"{len(shares)} folds of the probe, {len(answers)} photos"
    return {key: replace(metric, method=f"{how}: {metric.method}") for key, metric in metrics.items() if metric}


def candidate_metrics(candidates: Sequence[Candidate], kept: Metric | None) -> dict[str, Metric]:
    """The headline of each candidate by key, that of the kept one being `kept`; {} where that is None."""
    names = {"logistic regression": "baseline_logistic"}
    figures = {}
    for one in candidates if kept else ():
        figure = "mean_average_precision" if one.mean_average_precision else "accuracy"
        if headline := kept if one.kept else one.headline:
            figures[names.get(one.name, f"{one.name}_{figure}")] = headline
    return figures


def per_class(inputs: Inputs) -> tuple[ClassRow, ...]:
    """One row per class, in the order of the model's; recall and F1 are None where no photo here has the class."""
    right, own, given = (counts.tolist() for counts in inputs.counts)
    areas = {name: float(average_precision_score(has, scores)) for name, (scores, has) in inputs.rankings().items()}
    return tuple(
        ClassRow(
            label=name,
            precision=right[k] / given[k] if given[k] else None,
            recall=right[k] / own[k] if own[k] else None,
            f1=2 * right[k] / (own[k] + given[k]) if own[k] else None,
            average_precision=areas.get(name),
            support=own[k],
        )
        for k, name in enumerate(inputs.classes)
    )
