"""Temperature: one number that all logits are divided by, so that "80 % sure" is right four times in five.

Guo et al. 2017, arXiv:1706.04599. T alone is fitted here, with SciPy: a class without a photo in the validation part
does not matter to it. Of few photos chance tells much of it, so it is drawn towards 1. Where photos may have several
labels, each class also gets a threshold.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, logit
from sklearn.metrics import log_loss, precision_recall_curve

from pcn_cli.records.model import Calibration, ClassThreshold

FEWEST = 30  # validation photos below which the temperature stays 1
TEMPERATURES = (0.05, 20.0)  # lowest and highest
# How far models that learned here lie from 1: half of them nearer than this, by the logarithm of their temperature. See
# "Temperatures" in tests/benchmarks/RESULTS.md.
SPREAD = 0.2

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Truths = NDArray[np.bool_]
Targets = Indices | Truths  # (n,) class numbers, or (n, K) which photo has which class


def fit_temperature(probabilities: Floats, targets: Targets, *, spread: float = math.inf) -> float:
    """The temperature, 0.05 … 20, with the smallest log-loss; 1 unless another is better, and where all is right.

    Without a mistake there is nothing to learn how sure to be from: the surer, the better it would look. The
    probabilities (n, K) are those of temperature 1. With `spread` it is the most probable one where its logarithm is
    known to be drawn from a Cauchy distribution around 0 of that scale: near 1 as far as chance explains the rest, yet
    left alone by it where a model is far too sure.
    """
    several = targets.ndim == 2
    right = (probabilities >= 0.5) == targets if several else probabilities.argmax(axis=1) == targets
    if bool(right.all()):
        return 1.0
    logits, bounds = _logits(probabilities, multi_label=several), np.log(TEMPERATURES)

    def lose(x: float) -> float:
        return _log_loss(logits / np.exp(x), targets) + float(np.log1p((x / spread) ** 2)) / targets.size

    found = minimize_scalar(lose, bounds=bounds, method="bounded")
    return float(np.exp(found.x)) if found.fun < _log_loss(logits, targets) else 1.0


def calibrate(probabilities: Floats, targets: Targets) -> tuple[float, Calibration]:
    """The temperature for the validation photos, with what it did to their log-loss; 1 where they are few.

    The probabilities (n, K) are those of temperature 1.
    """
    count = len(targets)
    if count < FEWEST:
        return 1.0, Calibration(validation_photos=count, photos=0)
    temperature = fit_temperature(probabilities, targets, spread=SPREAD)
    logits = _logits(probabilities, multi_label=targets.ndim == 2)
    return temperature, Calibration(
        validation_photos=count,
        photos=count,
        log_loss_before=_log_loss(logits, targets),
        log_loss_after=_log_loss(logits / temperature, targets),
    )


def temper(probabilities: Floats, temperature: float, *, multi_label: bool = False) -> Floats:
    """Probabilities (n, K) whose logits were divided by `temperature`; 1 / temperature takes it back."""
    logits = _logits(probabilities, multi_label=multi_label) / temperature
    return np.asarray(expit(logits) if multi_label else np.exp(log_softmax(logits, axis=1)))


def binary_log_loss(truths: Truths, probabilities: Floats) -> float:
    """The mean −ln of the probability that was given to what is true, over photos and classes, (n, K) each."""
    return float(log_loss(truths.ravel(), probabilities.ravel(), labels=[False, True]))


def choose_thresholds(probabilities: Floats, truths: Truths, classes: Sequence[str]) -> tuple[ClassThreshold, ...]:
    """For each class the probability from which on its F1 on the validation photos is best; 0.5 where none has it.

    It lies half-way to the next less probable photo, so that a photo of the class a little less probable still counts.
    The probabilities (n, K) are with the temperature; `truths` (n, K) say which photo has which class.
    """
    chosen = []
    for label, scores, own in zip(classes, probabilities.T, truths.T, strict=True):
        threshold = ClassThreshold(label=label)
        if own.any():
            precision, recall, candidates = precision_recall_curve(own, scores, drop_intermediate=True)
            together = precision + recall
            f1 = np.divide(2 * precision * recall, together, out=np.zeros_like(together), where=together > 0)[:-1]
            best = int(np.argmax(f1))
            below = scores[scores < candidates[best]].max(initial=0.0)
            place = float((candidates[best] + below) / 2)
            threshold = ClassThreshold(label=label, threshold=place, photos=int(own.sum()), f1=float(f1[best]))
        chosen.append(threshold)
    return tuple(chosen)


def _logits(probabilities: Floats, *, multi_label: bool) -> Floats:
    """Logits that give these probabilities; what underflowed to 0 is as improbable as a number can say."""
    least = np.finfo(np.float64).tiny
    if multi_label:
        return np.asarray(logit(np.clip(probabilities, least, 1 - np.finfo(np.float64).epsneg)))
    return np.asarray(np.log(np.maximum(probabilities, least)))


def _log_loss(logits: Floats, targets: Targets) -> float:
    if targets.ndim == 2:
        return binary_log_loss(targets.astype(bool), expit(logits))
    return float(-log_softmax(logits, axis=1)[np.arange(targets.size), targets].mean())
