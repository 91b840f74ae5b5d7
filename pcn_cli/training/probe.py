"""The probe: the trunk stays as it is, the pooling and its head learn from cached tokens.

It is an ordinary `fit` whose batches are tokens and whose network is what stands behind them, so averaging and early
stopping are the same. It has no checkpoints: it takes less time than they would, and gives the same bits again.
"""

import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any, Self, cast

import numpy as np
import torch
from torch import Tensor, nn

from pcn_cli.tensors.network import Network
from pcn_cli.training.copies import copy_state
from pcn_cli.training.device import explain_memory, one_thread
from pcn_cli.training.fit import FitCallback, FitResult, fit
from pcn_cli.training.fit_config import FitConfig, Validation
from pcn_cli.training.learner import Learner
from pcn_cli.training.probabilities import to_probabilities
from pcn_cli.training.stop import StopRequest
from pcn_cli.training.tokens import TokenBatches, Tokens

_SCORED_AT_ONCE = 128
_POOLED_AT_ONCE, _NUMBERS = 32, 1_600_000  # photos, or more whose tokens still stay in the processor's cache


def fit_probe(
    model: nn.Module,
    train_tokens: Tokens,
    val_tokens: Tokens,
    validate: Callable[[np.ndarray, np.ndarray], Validation],
    *,
    config: FitConfig,
    device: torch.device,
    stop: StopRequest,
    files: Sequence[str] = (),
    callback: FitCallback | None = None,
) -> FitResult:
    """The best pooling and head on frozen tokens, as a state of the whole network.

    `validate` gets targets, as the caches hold them, and probabilities (N, K); `config` is of `FitConfig.for_probe`,
    `files` are what the photos are called by the tokens' indices.
    """
    result = fit(
        Learner(TokenHead(model), config, device=device),
        TokenBatches(train_tokens, batch_size=config.batch_size, seed=config.seed, even_classes=config.even_classes),
        lambda probe: validate(val_tokens.targets, token_probabilities(probe, val_tokens, device=device)),
        files=files,
        callback=callback,
        stop=stop,
    )
    return replace(result, best_state=copy_state(model) | result.best_state)


@torch.inference_mode()
def token_probabilities(model: nn.Module, tokens: Tokens, *, device: torch.device) -> np.ndarray:
    """Probabilities (N, K) float64 of the photos of a cache, in its order; `model` is left in evaluation mode."""
    network, rows, pieces = cast("Network", model.eval()), np.arange(len(tokens)), []
    with explain_memory("the probe was measured", "free some memory, or use --device cpu"):
        for first in range(0, len(rows), _SCORED_AT_ONCE):
            logits = network.forward_head(tokens.read(rows[first : first + _SCORED_AT_ONCE]).to(device))
            pieces.append(to_probabilities(logits, multi_label=tokens.targets.ndim == 2))
    return torch.cat(pieces).numpy()


@torch.inference_mode()
def pooled_features(model: nn.Module, tokens: Tokens, *, device: torch.device, view: int = 0) -> np.ndarray:
    """What the head would see (N, F) float32 of the photos of a cache; of a token for each class their mean."""
    network, places, pieces = cast("Network", model.eval()), np.arange(len(tokens)), []
    still = torch.zeros(network.embed_dim, device=device)
    with one_thread(), explain_memory("the tokens were pooled", "free some memory, or use --device cpu"):
        together = max(_POOLED_AT_ONCE, _NUMBERS // tokens.read(places[:1], view).numel())
        for first in range(0, len(places), together):
            seen = tokens.read(places[first : first + together], view).to(device)
            if network.class_tokens:
                pieces.append(network.forward_head(seen, pre_logits=True).mean(dim=1).cpu())
            else:
                pieces.append(network.shifted_features(seen, still).cpu())
    return torch.cat(pieces).numpy()


class TokenHead(nn.Module):
    """Pooling and head of a network as a network of their own, from tokens on; the trunk is neither saved nor copied.

    Its state holds the tensors with the network's pooling prefixes, under the names that they have in the network.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.network = model
        self._prefixes = cast("Network", model).pooling_prefixes
        # Known once: the average asks for the state in every step, and walking the trunk takes longer than averaging.
        self._names = tuple(name for name in model.state_dict() if name.startswith(self._prefixes))

    @property
    def pooling_prefixes(self) -> tuple[str, ...]:
        """The prefixes of the network as they are called here: all that there is."""
        return tuple(f"network.{prefix}" for prefix in self._prefixes)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits (B, K) of tokens (B, C, h, w)."""
        return cast("Network", self.network).forward_head(tokens)

    forward_head = forward

    def no_weight_decay(self) -> Collection[str]:
        """The names in the network as they are called here."""
        return {f"network.{name}" for name in cast("Network", self.network).no_weight_decay()}

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Do nothing: there are no trunk activations to save."""

    def state_dict(self, *_: Any, **__: Any) -> dict[str, Any]:  # type: ignore[override]  # noqa: ANN401 - torch's
        """The tensors behind the tokens."""
        return {name: attrgetter(name)(self.network).detach() for name in self._names}

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
