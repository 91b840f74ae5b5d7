"""One class token per class: told from a model's facts, and given to a network that has a single one."""

from dataclasses import replace
from typing import Any

from torch import nn

from pcn_cli.errors import ModelError
from pcn_cli.models.entry_points import SIZES
from pcn_cli.models.folder import make_model
from pcn_cli.models.pooling import spread_class_tokens
from pcn_cli.records.model import ModelConfig, Pooling


def pooling_of(config: ModelConfig) -> Pooling:
    """Whether the network of `config` has a single class token or one per class."""
    own = SIZES.get(config.architecture, {}).get("class_tokens", False)
    return "per-class" if config.model_args.get("class_tokens", own) else "single"


def change_pooling(
    model: nn.Module, config: ModelConfig, pooling: Pooling, options: dict[str, Any]
) -> tuple[nn.Module, ModelConfig]:
    """The network with `pooling`, and its facts; the same ones where it has that already.

    Every class token begins as the single one with a small part of its own, and keeps the class's row of the head; all
    other weights are taken over. What is lost is the single token's own key and value: class tokens see patches only.

    Raises:
        ModelError: the network has class tokens, and a single one is asked for.
    """
    found = pooling_of(config)
    if found == pooling:
        return model, config
    if pooling == "single":
        raise ModelError(
            "the model has a token per class, which cannot become a single one",
            "leave --pooling out, or use --model s60",
        )
    arguments = config.model_args | {"class_tokens": True}
    changed = make_model(config.architecture, len(config.classes), arguments, **options)
    state = model.state_dict()
    state["pooling.cls_token"] = spread_class_tokens(state["pooling.cls_token"], len(config.classes))
    state["head.weight"] = state["head.weight"][:, None]  # (K, d) → (K, 1, d)
    changed.load_state_dict(state)
    return changed, replace(config, model_args=arguments)
