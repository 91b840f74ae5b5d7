"""What a model's calibration promised, measured on photos that it never saw: threshold, sets; and the curves."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pcn_cli.metrics.calibration import reliability, temper
from pcn_cli.metrics.conformal import in_set
from pcn_cli.metrics.inputs import Answers, collect_answers
from pcn_cli.metrics.measured import mean, proportion
from pcn_cli.metrics.ranking import precision_recall_points, roc_points, thin
from pcn_cli.metrics.selective import coverage_curve
from pcn_cli.records.calibration import Calibration, ConformalLevel, Selection
from pcn_cli.records.evaluation import Curves
from pcn_cli.records.metrics import Metric
from pcn_cli.records.model import ModelConfig


def measure_promises(
    labels: Sequence[str], probabilities: NDArray[np.floating], config: ModelConfig, *, seed: int = 0
) -> dict[str, Metric]:
    """Temperature, threshold and sets of the model, with what they give on these photos, by key.

    Args:
        labels: the true class names of n photos.
        probabilities: (n, K), made with the model's temperature.
        config: of the model.
        seed: of the bootstrap.
    """
    answers = collect_answers(labels, probabilities, config.classes, seed=seed)
    metrics = describe_temperature(config.temperature, config.calibration) if config.calibration else {}
    if config.selection and config.selection.threshold is not None:
        metrics |= _selective(answers, config.selection, config.selection.threshold)
    for level in config.conformal:
        if level.least_probability is not None:
            metrics |= _sets(answers, level)
    return metrics


def gather_curves(labels: Sequence[str], probabilities: NDArray[np.floating], config: ModelConfig) -> Curves:
    """The curves and bins of these photos; a class gets its curves where some photos are its own and some are not."""
    answers = collect_answers(labels, probabilities, config.classes)
    before = temper(answers.probabilities, 1 / config.temperature)
    coverage, accuracy = coverage_curve(answers.confidences, answers.right)
    roc, precision_recall = {}, {}
    for label in answers.measured if answers.measured.size > 1 else ():
        name, scores, own = config.classes[label], answers.probabilities[:, label], answers.targets == label
        roc[name], precision_recall[name] = roc_points(scores, own), precision_recall_points(scores, own)
    return Curves(
        coverage=thin(coverage, accuracy),
        before=reliability(before.max(axis=1), answers.right),
        after=reliability(answers.confidences, answers.right),
        roc=roc,
        precision_recall=precision_recall,
        temperature=config.temperature,
        calibration=config.calibration,
        selection=config.selection,
        conformal=config.conformal,
    )


def describe_temperature(value: float, how: Calibration) -> dict[str, Metric]:
    """The temperature as a metric that says how it was found."""
    if how.log_loss_before is None or how.log_loss_after is None:
        method = f"1, not fitted: {how.validation_photos} validation photos are too few"
        return {"temperature": Metric(value=value, n=0, method=method)}
    return {
        "temperature": Metric(
            value=value,
            n=how.photos,
            method=f"fitted on {how.photos} of {how.validation_photos} validation photos, whose log-loss it took from "
            f"{how.log_loss_before:.4f} to {how.log_loss_after:.4f}",
        )
    }


def _selective(answers: Answers, selection: Selection, threshold: float) -> dict[str, Metric]:
    """The threshold with its validation figures, and coverage and accuracy on these photos."""
    given = answers.confidences >= threshold
    chosen = "on the validation photos it was chosen on, so rather too good"
    metrics = {
        "threshold": Metric(
            value=threshold,
            n=selection.photos,
            method="confidence below which the answer is unknown; chosen on the validation photos for "
            f"{selection.target:.1%} of the others to be right",
        ),
        "threshold_validation_coverage": Metric(
            value=selection.answered / selection.photos, n=selection.photos, method=f"share answered {chosen}"
        ),
        "threshold_validation_accuracy": Metric(
            value=selection.right / selection.answered, n=selection.answered, method=f"share right of these {chosen}"
        ),
        "threshold_coverage": proportion(
            int(given.sum()), given.size, "share of photos whose confidence reaches the threshold"
        ),
    }
    if given.any():
        metrics["threshold_accuracy"] = proportion(
            int(answers.right[given].sum()), int(given.sum()), "share right of the photos that reach the threshold"
        )
    return metrics


def _sets(answers: Answers, level: ConformalLevel) -> dict[str, Metric]:
    held = in_set(answers.probabilities, level)
    sizes, n = held.sum(axis=1).astype(float), answers.targets.size
    name = f"conformal_{100 * level.level:.0f}"

    return {
        f"{name}_coverage": proportion(
            int(held[np.arange(n), answers.targets].sum()),
            n,
            f"share of photos whose {level.level:.0%} set holds the label; calibrated on {level.photos} photos",
        ),
        f"{name}_set_size": mean(sizes, answers, "mean number of classes in the set"),
        f"{name}_empty": proportion(int((sizes == 0).sum()), n, "share of photos whose set holds no class"),
    }
