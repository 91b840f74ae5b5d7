"""What the validation part settles where a photo may have several labels: a temperature, and a threshold per class."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit
from sklearn.metrics import log_loss, precision_recall_curve

from pcn_cli.metrics.calibration import FEWEST, TEMPERATURES
from pcn_cli.records.calibration import Calibration, ClassThreshold

Floats = NDArray[np.float64]
Truths = NDArray[np.bool_]


def calibrate(probabilities: Floats, truths: Truths) -> tuple[float, Calibration]:
    """The temperature with the smallest log-loss on the validation photos, 1 unless another is better, and what it did.

    It is 1 too where photos are few, or no decision at 0.5 is wrong: then the surer, the better it would look.

    Args:
        probabilities: (n, K) at temperature 1.
        truths: (n, K) which photo has which class.
    """
    count = len(truths)
    if count < FEWEST:
        return 1.0, Calibration(validation_photos=count, photos=0)
    before = decision_loss(truths, probabilities)
    temperature, after = 1.0, before
    if ((probabilities >= 0.5) != truths).any():
        found = minimize_scalar(
            lambda x: decision_loss(truths, temper(probabilities, float(np.exp(x)))),
            bounds=np.log(TEMPERATURES),
            method="bounded",
        )
        if found.fun < before:
            temperature, after = float(np.exp(found.x)), float(found.fun)
    return temperature, Calibration(validation_photos=count, photos=count, log_loss_before=before, log_loss_after=after)


def temper(probabilities: Floats, temperature: float) -> Floats:
    """Probabilities whose logits were divided by `temperature`; 1 / temperature takes it back."""
    least = np.finfo(np.float64).tiny
    return np.asarray(expit(logit(np.clip(probabilities, least, 1 - np.finfo(np.float64).epsneg)) / temperature))


def decision_loss(truths: Truths, probabilities: Floats) -> float:
    """The mean −ln of the probability that was given to what is true, over photos and classes."""
    return float(log_loss(truths.ravel(), probabilities.ravel(), labels=[False, True]))


def choose_thresholds(probabilities: Floats, truths: Truths, classes: Sequence[str]) -> tuple[ClassThreshold, ...]:
    """For each class the probability from which on its F1 on the validation photos is best; 0.5 where none has it.

    It lies half-way to the next less probable photo, so that a photo of the class a little less probable still counts.

    Args:
        probabilities: (n, K) of the validation photos, with the temperature.
        truths: (n, K) which photo has which class.
        classes: the K names.
    """
    return tuple(
        _choose_threshold(name, probabilities[:, place], truths[:, place]) for place, name in enumerate(classes)
    )


def _choose_threshold(label: str, scores: Floats, own: Truths) -> ClassThreshold:
    if not own.any():
        return ClassThreshold(label=label)
    precision, recall, candidates = precision_recall_curve(own, scores, drop_intermediate=True)
    together = precision + recall
    f1 = np.divide(2 * precision * recall, together, out=np.zeros_like(together), where=together > 0)[:-1]
    best = int(np.argmax(f1))
    below = scores[scores < candidates[best]]
    return ClassThreshold(
        label=label,
        threshold=float((candidates[best] + (below.max() if below.size else 0.0)) / 2),
        photos=int(own.sum()),
        f1=float(f1[best]),
    )
