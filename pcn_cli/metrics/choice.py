"""Which of two models to keep, by their answers to the same validation photos; where chance explains it, the simpler.

Both are judged after their own temperature, so that how sure they were while they were trained does not matter.
"""

import numpy as np
from numpy.typing import NDArray

from pcn_cli.metrics.calibration import fit_temperature, temper
from pcn_cli.metrics.definitions import macro_f1_of
from pcn_cli.recipe.schema import Monitor

Floats = NDArray[np.float64]
Targets = NDArray[np.int64]

_DRAWS = 200
# By which the mean gain must exceed 0; see "Logistic regression and the probe" in tests/benchmarks/RESULTS.md.
_STANDARD_ERRORS = 1.0


def tempered_log_loss(targets: Targets, probabilities: Floats) -> float:
    """The log-loss after the temperature that suits these photos best; arguments as of `is_better_beyond_chance`."""
    return float(_losses(targets, probabilities).mean())


def is_better_beyond_chance(targets: Targets, new: Floats, old: Floats, *, monitor: Monitor) -> bool:
    """Whether the answers `new` are better than `old` by more than one standard error of the paired difference.

    Probabilities (N, K), targets (N,), or (N, K) of 0 and 1 where photos have several labels. `monitor` is what counts:
    log-loss, or macro-F1, whose standard error is a bootstrap's.
    """
    if monitor == "log_loss":
        gains = _losses(targets, old) - _losses(targets, new)
        error = gains.std(ddof=1) / len(gains) ** 0.5 if len(gains) > 1 else 0.0
        return bool(gains.mean() > _STANDARD_ERRORS * error)
    gain = macro_f1(targets, new) - macro_f1(targets, old)  # scikit-learn's takes 50 times as long
    rng = np.random.default_rng(0)
    drawn = (rng.integers(0, len(targets), len(targets)) for _ in range(_DRAWS))
    gains = np.array([macro_f1(targets[rows], new[rows]) - macro_f1(targets[rows], old[rows]) for rows in drawn])
    return bool(gain > _STANDARD_ERRORS * gains.std(ddof=1))


def _losses(targets: Targets, probabilities: Floats) -> Floats:
    """What each photo loses (N,), after the temperature."""
    several = targets.ndim == 2
    wanted = targets.astype(bool) if several else targets
    tempered = temper(probabilities, fit_temperature(probabilities, wanted), multi_label=several)
    tempered = np.clip(tempered, np.finfo(np.float64).tiny, 1.0)
    if several:
        own = np.where(wanted, tempered, np.clip(1 - tempered, np.finfo(np.float64).tiny, 1.0))
        return np.asarray(-np.log(own).mean(axis=1))
    return np.asarray(-np.log(tempered[np.arange(len(targets)), targets]))


def macro_f1(targets: Targets, probabilities: Floats) -> float:
    """The mean F1 over the classes that some photos have; of several labels those are given that reach 0.5."""
    if targets.ndim == 2:
        return macro_f1_of(targets.astype(bool), probabilities >= 0.5)
    classes = np.eye(probabilities.shape[1], dtype=bool)
    return macro_f1_of(classes[targets], classes[probabilities.argmax(axis=1)])
