"""Temperature: one number that all logits are divided by, so that "80 % sure" is right four times in five.

Guo et al. 2017, arXiv:1706.04599. T alone is fitted here, with SciPy: a class without a photo in the validation part
does not matter to it.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from pcn_cli.records.calibration import Calibration
from pcn_cli.records.evaluation import Bin

FEWEST = 30  # validation photos below which the temperature stays 1
FEWEST_TO_DIVIDE = 40  # 20 are enough for sets of 90 %, and as good as 30 for the temperature; 10 are worse than none
BINS = 15
TEMPERATURES = (0.05, 20.0)  # lowest and highest

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


def divide_validation(targets: Indices, *, seed: int) -> tuple[Indices, Indices]:
    """The validation photos for the temperature and those for the conformal sets, drawn by `seed` class by class.

    Half for each. Below 40 photos there are not enough for both, so the temperature gets all; below 30 it is not
    fitted, so all are left for the sets.

    Args:
        targets: (n,) true classes of the validation part.
        seed: of the draw.
    """
    count = targets.size
    if count < FEWEST:
        return np.arange(0), np.arange(count)
    wanted = count // 2 if count >= FEWEST_TO_DIVIDE else count
    shuffled = np.random.default_rng(seed).permutation(count)
    by_class = shuffled[np.argsort(targets[shuffled], kind="stable")]
    # Evenly spaced places of the list sorted by class take from each class its share.
    chosen = np.zeros(count, dtype=bool)
    chosen[by_class[(np.arange(wanted) * count) // wanted]] = True
    return np.flatnonzero(chosen), np.flatnonzero(~chosen)


def fit_temperature(probabilities: Floats, targets: Indices) -> float:
    """The temperature, 0.05 … 20, with the smallest log-loss; 1 unless another is better, and where all is right.

    Without a mistake there is nothing to learn how sure to be from: the surer, the better it would look.

    Args:
        probabilities: (n, K) at temperature 1.
        targets: (n,) true classes.
    """
    if bool((probabilities.argmax(axis=1) == targets).all()):
        return 1.0
    logits = _logits(probabilities)
    found = minimize_scalar(
        lambda x: _log_loss(logits / np.exp(x), targets), bounds=np.log(TEMPERATURES), method="bounded"
    )
    return float(np.exp(found.x)) if found.fun < _log_loss(logits, targets) else 1.0


def calibrate(probabilities: Floats, targets: Indices, *, validation_photos: int) -> tuple[float, Calibration]:
    """The temperature for the photos set aside for it, with what it did to their log-loss; 1 where there are none."""
    if targets.size == 0:
        return 1.0, Calibration(validation_photos=validation_photos, photos=0)
    temperature, logits = fit_temperature(probabilities, targets), _logits(probabilities)
    return temperature, Calibration(
        validation_photos=validation_photos,
        photos=targets.size,
        log_loss_before=_log_loss(logits, targets),
        log_loss_after=_log_loss(logits / temperature, targets),
    )


def temper(probabilities: Floats, temperature: float) -> Floats:
    """Probabilities (n, K) whose logits were divided by `temperature`; 1 / temperature takes it back."""
    return np.asarray(np.exp(log_softmax(_logits(probabilities) / temperature, axis=1)))


def reliability(confidences: Floats, right: NDArray[np.bool_]) -> tuple[Bin, ...]:
    """At most 15 bins of equally many photos, the least sure first.

    Args:
        confidences: (n,) probability of the most probable class.
        right: (n,) whether that class is the label.
    """
    order = np.argsort(confidences, kind="stable")
    parts = np.array_split(order, min(BINS, order.size))
    return tuple(
        Bin(confidence=float(confidences[part].mean()), accuracy=float(right[part].mean()), photos=part.size)
        for part in parts
    )


def expected_calibration_error(bins: tuple[Bin, ...]) -> float:
    """The mean over photos of how far confidence and accuracy of their bin lie apart."""
    total = sum(one.photos for one in bins)
    return sum(one.photos * abs(one.confidence - one.accuracy) for one in bins) / total


def _logits(probabilities: Floats) -> Floats:
    """Logits that give these probabilities; what underflowed to 0 is as improbable as a number can say."""
    return np.asarray(np.log(np.maximum(probabilities, np.finfo(np.float64).tiny)))


def _log_loss(logits: Floats, targets: Indices) -> float:
    return float(-log_softmax(logits, axis=1)[np.arange(targets.size), targets].mean())
