"""Selective prediction: to answer only where the model is sure enough, and how much is right then.

El-Yaniv and Wiener 2010; Geifman and El-Yaniv 2017, arXiv:1705.08500. Photos of the same confidence are answered
together.
"""

import numpy as np

from pcn_cli.metrics.inputs import Floats, Indices, SingleLabel, Truths
from pcn_cli.metrics.intervals import proportion
from pcn_cli.records.metrics import Metric
from pcn_cli.records.model import Selection

_HAIR = 1e-6  # of itself below the last answered confidence, which another machine may compute a last digit lower
FEWEST = 10  # answered validation photos below which an accuracy is not to be promised


def coverage_curve(confidences: Floats, right: Truths) -> tuple[Floats, Floats]:
    """Shares of photos answered, rising to 1, and the accuracy on those: one point per distinct confidence."""
    order, ends = _groups(confidences)
    answered = ends + 1
    return answered / order.size, np.cumsum(right[order])[ends] / answered


def risk_area(confidences: Floats, right: Truths) -> float:
    """AURC: the mean share of mistakes over all coverages."""
    coverage, accuracy = coverage_curve(confidences, right)
    return float((np.diff(coverage, prepend=0.0) * (1 - accuracy)).sum())


def risk_area_influence(confidences: Floats, right: Truths) -> Floats:
    """The derivative (n,) of AURC by the weight of each photo."""
    order, ends = _groups(confidences)
    _, accuracy = coverage_curve(confidences, right)
    steps, answered = np.diff(ends + 1, prepend=0), ends + 1
    group = np.searchsorted(ends, np.arange(order.size))
    # A photo changes the share of mistakes at its own place and at every place below it.
    more = np.cumsum((steps / answered)[::-1])[::-1]
    fewer = np.cumsum((steps * (1 - accuracy) / answered)[::-1])[::-1]
    changes = (1 - accuracy - fewer)[group] + ~right[order] * more[group] - risk_area(confidences, right)
    influence = np.empty(order.size)
    influence[order] = changes / order.size
    return influence


def choose_threshold(probabilities: Floats, targets: Indices, *, target: float) -> Selection:
    """The lowest confidence, less a hair, from which on at least `target` of 10 or more answers are right.

    The probabilities (n, K) of the validation photos are with the temperature, `targets` (n,) their classes' numbers.
    """
    confidences, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == targets
    order, ends = _groups(confidences)
    answered, correct = ends + 1, np.cumsum(right[order])[ends]
    fitting = np.flatnonzero((correct >= target * answered - 1e-9) & (answered >= FEWEST))
    if fitting.size == 0:
        return Selection(target=target, photos=order.size)
    best = fitting[-1]
    least, below = confidences[order[ends[best]]], confidences[order[ends[best + 1]]] if best + 1 < ends.size else 0.0
    return Selection(
        target=target,
        photos=order.size,
        threshold=float(least - min(_HAIR * least, (least - below) / 2)),
        answered=int(answered[best]),
        right=int(correct[best]),
    )


def selection_notes(selection: Selection | None) -> list[str]:
    """That no threshold was found, where one was wished for."""
    if selection is None or selection.threshold is not None:
        return []
    found = f"no threshold reaches an accuracy of {selection.target:.1%} on the {selection.photos} validation photos"
    if selection.photos < FEWEST:
        found = f"{selection.photos} validation photos are too few for a threshold, which takes {FEWEST}"
    return [f"{found}, so every photo is answered"]


def measure_threshold(inputs: SingleLabel, selection: Selection) -> dict[str, Metric]:
    """The threshold with its validation figures, and coverage and accuracy on these photos, by key; {} without one."""
    if selection.threshold is None:
        return {}
    given = inputs.confidences >= selection.threshold
    photos, answered = selection.photos, selection.answered
    known = "on the validation photos it was chosen on, so rather too good"
    meant = "confidence below which the answer is unknown; chosen on the validation photos for"
    chosen = {
        "threshold": (selection.threshold, photos, f"{meant} {selection.target:.1%} of the others to be right"),
        "threshold_validation_coverage": (answered / photos, photos, f"share answered {known}"),
        "threshold_validation_accuracy": (selection.right / answered, answered, f"share right of these {known}"),
    }
    metrics = {key: Metric(value=value, n=n, method=method) for key, (value, n, method) in chosen.items()}
    count, right = int(given.sum()), int(inputs.right[given].sum())
    reached = "share of photos whose confidence reaches the threshold"
    metrics["threshold_coverage"] = proportion(count, given.size, reached)
    if count:
        method = "share right of the photos that reach the threshold"
        metrics["threshold_accuracy"] = proportion(right, count, method)
    return metrics


def _groups(confidences: Floats) -> tuple[Indices, Indices]:
    """The photos with the surest first, and the places where the next one is less sure."""
    order = np.argsort(-confidences, kind="stable")
    return order, np.append(np.flatnonzero(np.diff(confidences[order])), order.size - 1)
