"""Logistic regression on many photos: the optimum that scikit-learn's L-BFGS finds, in a third of its time.

The loss is sought in other coordinates: features along the principal axes of what they vary by, each in units of the
curvature that the loss has there when every class is as likely (Böhning 1992 bounds it that way). There the problem is
rounder, so that less than half of the steps are needed.
"""

from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from pcn_cli.files.threads import in_threads
from pcn_cli.training.device import one_thread

Floats = NDArray[np.float32]
Numbers = NDArray[np.float64]
Targets = NDArray[np.int64]

_AT_ONCE = 4096  # photos
_STEPS = 200
# Where it ends the loss lies below that of scikit-learn's solver, which stops by its own tolerance.
_FLAT = 3e-5  # of the gradient's largest number
_LEAST_GAIN = 1e-6  # of the loss, by a step
_REMEMBERED = 20  # steps of which the curvature is known


class LargeRegression:
    """One regression that goes on from where the last C left it, and the `rows` of the head that it gives.

    `scaled` features are (N, F) and centred, `targets` (N,) the numbers of three classes or more, which `rows` (K,)
    lists in order; `photo_weights` (N,) are what each photo weighs.
    """

    def __init__(self, scaled: Floats, targets: Targets, rows: Targets, photo_weights: Floats | None) -> None:
        self.rows = rows
        weights = np.ones(len(targets), np.float32) if photo_weights is None else photo_weights
        self._total = float(weights.sum(dtype=np.float64))
        variances, axes = np.linalg.eigh(((scaled.T * weights) @ scaled).astype(np.float64) / self._total)
        self._variances, self._axes = np.maximum(variances, 0), axes
        self._turned = torch.from_numpy(scaled @ axes.astype(np.float32))
        self._targets, self._weights = torch.from_numpy(np.searchsorted(rows, targets)), torch.from_numpy(weights)
        self._curvature = (len(rows) - 1) / len(rows) ** 2
        self._weight, self._bias = np.zeros((len(rows), len(axes))), np.zeros(len(rows))

    def begin(self, weight: NDArray[np.floating], bias: NDArray[np.floating]) -> None:
        """Go on from a head for scaled features, (K, F) and (K,)."""
        self._weight = np.asarray(weight[self.rows] @ self._axes, np.float64)
        self._bias = np.asarray(bias[self.rows], np.float64)

    def solve(self, C: float) -> tuple[Numbers, Numbers]:
        """Weight (K, F) and bias (K,) for scaled features."""
        penalty = 1 / (C * self._total)  # beside the mean loss
        units = 1 / np.sqrt(self._curvature * self._variances + penalty)  # (F,)
        start = np.concatenate([(self._weight / units).ravel(), self._bias * self._curvature**0.5])
        options = {"maxiter": _STEPS, "gtol": _FLAT, "ftol": _LEAST_GAIN, "maxcor": _REMEMBERED}
        with one_thread():  # in each of those that share the photos
            found = minimize(self._loss, start, args=(units, penalty), jac=True, method="L-BFGS-B", options=options).x
        weight, self._bias = self._parts(found, units)
        self._weight = weight
        return weight @ self._axes.T, self._bias

    def _parts(self, numbers: Numbers, units: Numbers) -> tuple[Numbers, Numbers]:
        """Weight (K, F) along the axes, and bias (K,)."""
        split = len(numbers) - len(self.rows)
        return numbers[:split].reshape(len(self.rows), -1) * units, numbers[split:] / self._curvature**0.5

    def _loss(self, numbers: Numbers, units: Numbers, penalty: float) -> tuple[float, Numbers]:
        """The mean loss with its penalty, and its gradient; groups of photos are summed in their order."""
        weight, bias = self._parts(numbers, units)
        seen = partial(self._group_loss, torch.from_numpy(weight).float(), torch.from_numpy(bias).float())
        loss, by_weight, by_bias = 0.0, np.zeros_like(weight), np.zeros_like(bias)
        for own, of_weight, of_bias in in_threads(seen, range(0, len(self._targets), _AT_ONCE)):
            loss += own
            by_weight += of_weight
            by_bias += of_bias
        loss = loss / self._total + penalty * float(np.square(weight).sum()) / 2
        by_weight = (by_weight / self._total + penalty * weight) * units
        return loss, np.concatenate([by_weight.ravel(), by_bias / self._total / self._curvature**0.5])

    @torch.inference_mode()
    def _group_loss(self, weight: Tensor, bias: Tensor, first: int) -> tuple[float, Floats, Floats]:
        """The loss of the group that begins with the photo `first`, and its gradients by weight and bias."""
        own = slice(first, first + _AT_ONCE)
        seen, targets, weights = self._turned[own], self._targets[own, None], self._weights[own, None]
        logs = torch.addmm(bias, seen, weight.T).log_softmax(dim=1)
        loss = -float((logs.gather(1, targets) * weights).sum())
        errors = logs.exp_()  # the probabilities, less 1 for the label
        errors.scatter_add_(1, targets, -torch.ones_like(weights)).mul_(weights)
        return loss, (errors.T @ seen).numpy(), errors.sum(dim=0).numpy()
