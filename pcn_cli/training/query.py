"""Where to look: a change of the pooling's query, learned together with the head that sees what it pools.

The loss is that of the logistic regression with a penalty on the change, so that no change is the regression itself.
All photos make one step of SciPy's L-BFGS; their tokens go through in groups that stay in the processor's cache.
"""

from collections.abc import Iterator
from functools import partial
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from pcn_cli.files.threads import in_threads
from pcn_cli.tensors.network import Network
from pcn_cli.training.device import one_thread
from pcn_cli.training.logistic import Floats, LinearHead
from pcn_cli.training.stop import StopRequest
from pcn_cli.training.tokens import Tokens

STRENGTHS = (1_000.0, 300.0, 100.0)  # of the penalty: half of it times the squared change
MOST_PHOTOS = 5_000  # a query has few numbers: of more photos it learns from a sample
_STEPS = 15
_TOGETHER = 32
_NUMBERS = 1_600_000  # of tokens that go together where photos are many: each group takes the whole head along
_KEPT_BYTES = 2**28  # of all their tokens, up to which they are read once for all steps


class QuerySearch:
    """The loss as a function of the numbers that are sought: the change of the query, and the head on scaled features.

    The head is sought for features as the regression scaled them, the change in units of √d: so all numbers are alike.
    `head` is that of the regression, `photo_weights` (N,) are what each photo weighs. A photo is seen as it is or
    mirrored, drawn by `seed`. `model` is left as it is, without gradients.
    """

    def __init__(
        self,
        model: nn.Module,
        tokens: Tokens,
        head: LinearHead,
        *,
        photo_weights: Floats | None,
        seed: int,
        stop: StopRequest,
    ) -> None:
        for parameter in model.eval().parameters():
            parameter.requires_grad_(False)
        self._network, self._tokens, self._stop = cast("Network", model), tokens, stop
        rng = np.random.default_rng(seed)
        self._rows = np.sort(rng.permutation(len(tokens))[:MOST_PHOTOS])
        self._views = rng.integers(0, tokens.views, len(self._rows))
        self._together = _TOGETHER
        if len(self._rows) < len(tokens):
            self._together = max(_TOGETHER, _NUMBERS // self._read(0, 1).numel())
        self._kept: dict[int, Tensor] = {}  # by the first of each group
        if len(self._rows) * self._read(0, 1).nbytes <= _KEPT_BYTES:
            self._kept = {first: self._read(first, self._together) for first in self._firsts()}
        self._targets = torch.from_numpy(tokens.targets[self._rows])
        weights = np.ones(len(tokens)) if photo_weights is None else photo_weights
        # As many views of as many photos as the regression had, so that its penalty is as strong as there.
        more = tokens.views * len(tokens) / len(self._rows)
        self._weights = torch.from_numpy(more * weights[self._rows]).float()
        self._mean, self._scale = head.mean, head.scale
        self._C, self._shape, self._width = head.C, head.weight.shape, self._network.embed_dim
        self._device = next(model.parameters()).device
        weight, bias = head.weight * self._scale, head.bias + head.weight @ self._mean
        self._start = np.concatenate([np.zeros(self._width), weight.ravel(), bias]).astype(np.float64)

    def shifts(self) -> Iterator[Tensor]:
        """What to add (d,) to the query, where that lies, for ever weaker penalties; each begins where the last ended.

        Raises:
            StoppedError: `stop` asked for it.
        """
        numbers, options = self._start, {"maxiter": _STEPS, "maxfun": _STEPS + 5}
        for strength in STRENGTHS:
            with one_thread():
                numbers = minimize(
                    self._loss, numbers, args=(strength,), jac=True, method="L-BFGS-B", options=options
                ).x
            shift = (numbers[: self._width] * self._width**0.5).astype(np.float32)
            yield torch.from_numpy(shift).to(self._device)

    def _loss(self, numbers: NDArray[np.float64], strength: float) -> tuple[float, NDArray[np.float64]]:
        """The loss and its gradient; groups of photos are summed in their order, however many go at once."""
        self._stop.check("stopped while the probe was fitted")
        flat = torch.from_numpy(numbers).float().requires_grad_()
        change, weight, _ = self._parts(flat)
        penalty = strength * change.square().sum() / 2 + weight.square().sum() / (2 * self._C)
        total, gradient = self._differentiate(penalty, flat)
        workers = None if self._device.type == "cpu" else 1
        for own, part in in_threads(partial(self._group_loss, flat.detach()), self._firsts(), workers=workers):
            total += own
            gradient += part
        return total, gradient

    def _group_loss(self, numbers: Tensor, first: int) -> tuple[float, NDArray[np.float64]]:
        """The loss of the group that begins with the photo `first`, and its gradient."""
        some, flat = slice(first, first + self._together), numbers.to(self._device, copy=True).requires_grad_()
        mean, scale = (torch.from_numpy(one).to(self._device) for one in (self._mean, self._scale))
        seen = (self._kept[first] if self._kept else self._read(first, self._together)).to(self._device)
        change, weight, bias = self._parts(flat)
        pooled = self._network.shifted_features(seen, change * self._width**0.5)
        logits = (pooled - mean) / scale @ weight.T + bias
        loss = _weighted_loss(logits, self._targets[some].to(self._device), self._weights[some].to(self._device))
        return self._differentiate(loss, flat)

    def _firsts(self) -> range:
        """The photo that each group begins with."""
        return range(0, len(self._rows), self._together)

    def _read(self, first: int, count: int) -> Tensor:
        """The tokens (B, C, h, w) of so many photos from `first` on."""
        own = slice(first, first + count)
        return self._tokens.read(self._rows[own], self._views[own])

    @staticmethod
    def _differentiate(loss: Tensor, flat: Tensor) -> tuple[float, NDArray[np.float64]]:
        (gradient,) = torch.autograd.grad(loss, flat)
        return float(loss.detach()), gradient.cpu().double().numpy()  # some accelerators have no float64

    def _parts(self, flat: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The change of the query (d,), and the head's weight (K, F) and bias (K,)."""
        classes, bias_at = self._shape[0], len(flat) - self._shape[0]
        return flat[: self._width], flat[self._width : bias_at].view(classes, -1), flat[bias_at:]


def _weighted_loss(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    if targets.ndim == 2:
        each = binary_cross_entropy_with_logits(logits, targets.float(), reduction="none").sum(dim=1)
    else:
        each = cross_entropy(logits, targets, reduction="none")
    return (weights * each).sum()
