"""The probe: the trunk stays as it is, the pooling and its head learn from cached tokens; beside it the plain baseline.

The probe is an ordinary `fit` whose batches are tokens and whose network is what stands behind them, so averaging,
early stopping, checkpoints and exact resume are the same. Only the token cache is computed again after a kill.
"""

import copy
import logging
import time
import warnings
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from pcn_cli.errors import DataError
from pcn_cli.records.run import EpochRow
from pcn_cli.tensors.network import Network
from pcn_cli.training.device import explain_memory
from pcn_cli.training.fit import OnStep, fit
from pcn_cli.training.fit_config import FitConfig, FitResult, Validation
from pcn_cli.training.objective import to_probabilities
from pcn_cli.training.stop import StopRequest
from pcn_cli.training.tokens import TokenBatches, Tokens

logger = logging.getLogger(__name__)
STRENGTHS = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)  # values of C that the baseline tries


def fit_probe(
    model: nn.Module,
    train_tokens: Tokens,
    val_tokens: Tokens,
    score: Callable[[np.ndarray, np.ndarray], Validation],
    *,
    plan: FitConfig,
    device: torch.device,
    checkpoints: Path | None = None,
    resume: bool = False,
    on_step: OnStep | None = None,
    on_epoch: Callable[[EpochRow], None] | None = None,
    on_note: Callable[[str], None] = logger.warning,
    stop: StopRequest | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> FitResult:
    """The best pooling and head on frozen tokens, as a state of the whole network.

    Args:
        score: makes a Validation of targets, as the caches hold them, and probabilities (N, K).
        plan: its `tune` and `phase` are taken as "probe".
    The other arguments and the errors are those of `fit`.
    """
    plan = replace(plan, tune="probe", phase="probe")
    head = BehindTokens(model)
    batches = TokenBatches(train_tokens, batch_size=plan.batch_size, seed=plan.seed, even_classes=plan.even_classes)

    def validate(judged: nn.Module) -> Validation:
        return score(
            val_tokens.targets,
            token_probabilities(judged, val_tokens, device=device, multi_label=plan.multi_label),
        )

    result = fit(
        head,
        batches,
        validate,
        plan=plan,
        device=device,
        checkpoints=checkpoints,
        resume=resume,
        on_step=on_step,
        on_epoch=on_epoch,
        on_note=on_note,
        stop=stop,
        clock=clock,
    )
    trunk = {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
    return replace(result, best_state=trunk | result.best_state)


@torch.inference_mode()
def token_probabilities(
    model: nn.Module, cache: Tokens, *, device: torch.device, batch_size: int = 128, multi_label: bool = False
) -> np.ndarray:
    """Probabilities (N, K) float64 of the photos of a cache, in its order; `model` is left in evaluation mode.

    Raises:
        ResourceError: a batch does not fit into memory.
    """
    network = cast("Network", model.eval())
    rows = np.arange(len(cache))
    with explain_memory("the probe was measured", "free some memory, or use --device cpu"):
        pieces = [
            to_probabilities(
                network.forward_head(cache.read(rows[first : first + batch_size]).to(device)), multi_label=multi_label
            )
            for first in range(0, len(rows), batch_size)
        ]
    return torch.cat(pieces).numpy()


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """What logistic regression makes of some photos: probabilities (N, K) float64, and the C that was chosen."""

    probabilities: np.ndarray
    strength: float


def logistic_baseline(
    train_features: np.ndarray,
    train_targets: np.ndarray,
    *,
    val_features: np.ndarray,
    val_targets: np.ndarray,
    features: np.ndarray,
    classes: int,
) -> Baseline:
    """The probabilities that a logistic regression on standardised features (N, C) gives to `features`.

    C is the one of `STRENGTHS` with the smallest validation log-loss. Classes without a training photo get
    probability 0. Targets (N, K) of 0 and 1 get a regression for each class.

    Raises:
        DataError: there are no training photos.
    """
    if train_targets.ndim == 2 and len(train_targets):
        return _binary_baseline(
            train_features, train_targets, val_features=val_features, val_targets=val_targets, features=features
        )
    best: tuple[float, float, np.ndarray] | None = None
    for strength in STRENGTHS if len(np.unique(train_targets)) > 1 else STRENGTHS[:1]:
        guess = regress(train_features, train_targets, strength=strength, classes=classes)
        loss = float(log_loss(val_targets, _off_zero(guess(val_features)), labels=np.arange(classes)))
        if best is None or loss < best[0]:
            best = (loss, strength, guess(features))
    assert best is not None  # noqa: S101 - STRENGTHS is not empty
    return Baseline(probabilities=best[2], strength=best[1])


def regress(
    features: np.ndarray, targets: np.ndarray, *, strength: float, classes: int
) -> Callable[[np.ndarray], np.ndarray]:
    """A logistic regression on standardised features (N, C) that learned `targets`: from features to probabilities.

    Classes without a photo get probability 0.

    Raises:
        DataError: there are no photos.
    """
    present = np.unique(targets)
    if len(present) == 0:
        raise DataError("there is no photo to train on")
    if len(present) == 1:
        return lambda other: _spread(np.ones((len(other), 1)), present, classes)
    model = _fit_logistic(features, targets, strength)
    return lambda other: _spread(model.predict_proba(other), present, classes)


def _binary_baseline(
    train_features: np.ndarray,
    train_targets: np.ndarray,
    *,
    val_features: np.ndarray,
    val_targets: np.ndarray,
    features: np.ndarray,
) -> Baseline:
    """The same where photos have several classes: a regression for each, with one C for all."""
    best: tuple[float, float, np.ndarray] | None = None
    asked = np.concatenate([val_features, features])
    for strength in STRENGTHS:
        guess, wanted = np.split(_each_class(train_features, train_targets, asked, strength), [len(val_features)])
        loss = float(log_loss(val_targets.ravel(), guess.ravel(), labels=[0, 1]))
        if best is None or loss < best[0]:
            best = (loss, strength, wanted)
    assert best is not None  # noqa: S101 - STRENGTHS is not empty
    return Baseline(probabilities=best[2], strength=best[1])


def _each_class(features: np.ndarray, targets: np.ndarray, asked: np.ndarray, strength: float) -> np.ndarray:
    """Probabilities (M, K) of the `asked`; a class that all training photos have, or none, is as probable as that."""
    guess = np.tile(targets.mean(axis=0), (len(asked), 1))
    for place in np.flatnonzero((guess[0] > 0) & (guess[0] < 1)):
        guess[:, place] = _fit_logistic(features, targets[:, place], strength).predict_proba(asked)[:, 1]
    return guess


def _fit_logistic(features: np.ndarray, targets: np.ndarray, strength: float) -> Pipeline:
    model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=500))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a baseline that is nearly converged is one
        return model.fit(features, targets)


class BehindTokens(nn.Module):
    """What stands behind the tokens of a network, as a network of its own; the trunk is neither saved nor copied.

    Its state holds the tensors with the network's pooling prefixes, under the names that they have in the network.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.network = model
        self._prefixes = cast("Network", model).pooling_prefixes

    @property
    def pooling_prefixes(self) -> tuple[str, ...]:
        """The network's own, as they are called here."""
        return tuple(f"network.{prefix}" for prefix in self._prefixes)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits (B, K) of tokens (B, C, h, w)."""
        return self.forward_head(tokens)

    def forward_head(self, tokens: Tensor) -> Tensor:
        """The same as calling it."""
        return cast("Network", self.network).forward_head(tokens)

    def no_weight_decay(self) -> Collection[str]:
        """The network's own, as they are called here."""
        return {f"network.{name}" for name in cast("Network", self.network).no_weight_decay()}

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Nothing: there are no trunk activations to save."""

    def state_dict(self, *_: Any, **__: Any) -> dict[str, Any]:  # type: ignore[override]  # noqa: ANN401 - torch's
        """The tensors behind the tokens."""
        return {name: t for name, t in self.network.state_dict().items() if name.startswith(self._prefixes)}

    def load_state_dict(self, state_dict: Mapping[str, Any], *_: Any, **__: Any) -> Any:  # noqa: ANN401 - torch's
        """Take over the tensors behind the tokens."""
        if set(state_dict) != set(self.state_dict()):
            raise RuntimeError("the state is not of this network's pooling and head")
        return self.network.load_state_dict(state_dict, strict=False)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        trunk = {
            id(tensor): tensor
            for name, tensor in self.network.state_dict(keep_vars=True).items()
            if not name.startswith(self._prefixes)
        }
        return type(self)(copy.deepcopy(self.network, memo | trunk))


def _spread(probabilities: np.ndarray, present: np.ndarray, classes: int) -> np.ndarray:
    """Probabilities (N, present) in the columns of all classes (N, K)."""
    wide = np.zeros((len(probabilities), classes))
    wide[:, present] = probabilities
    return wide


def _off_zero(probabilities: np.ndarray) -> np.ndarray:
    safe = np.clip(probabilities, 1e-7, None)
    return np.asarray(safe / safe.sum(axis=1, keepdims=True))
