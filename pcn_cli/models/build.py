"""Our networks, built by what a file may say of them, filled with its tensors, and given other classes."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from timm.models import register_model
from torch import Tensor

from pcn_cli.errors import ModelError
from pcn_cli.models.head import AttentionNetwork
from pcn_cli.models.pooling import spread_class_tokens
from pcn_cli.models.published import tensor_problems
from pcn_cli.records.model import ModelConfig, Pooling, Preprocessing

CONFIG, WEIGHTS = "config.json", "model.safetensors"  # a model folder's files


def register_network(create: Callable[..., AttentionNetwork], **settings: object) -> None:
    """Make `create` known to timm, and let a config.json set `settings` of it; their values are its defaults."""
    create.settings = settings  # type: ignore[attr-defined]
    register_model(create)


def _read_settings(architecture: str) -> Mapping[str, Any]:
    """What a config.json may set of a network of ours, with the defaults."""
    settings: Mapping[str, Any] | None = None
    if timm.is_model(architecture) and "." not in architecture:
        settings = getattr(timm.model_entrypoint(architecture), "settings", None)
    if settings is None:
        raise ModelError(f"there is no network called {architecture!r} here", "pcn models list")
    return settings


def timm_cfg(preprocessing: Preprocessing, num_classes: int, licence: str) -> dict[str, Any]:
    """How a network wants its photos, and what its head tells apart, in the words of timm's `pretrained_cfg`."""
    return {
        "input_size": (3, preprocessing.height, preprocessing.width),
        "interpolation": preprocessing.interpolation,
        "crop_pct": preprocessing.crop_pct if preprocessing.fit == "crop" else 1.0,
        "crop_mode": {"crop": "center", "pad": "border", "squash": "squash"}[preprocessing.fit],
        "mean": preprocessing.mean,
        "std": preprocessing.std,
        "num_classes": num_classes,
        "classifier": "head",
        "license": licence.lower(),
    }


def make_model(architecture: str, num_classes: int, model_args: Mapping[str, Any], **options: Any) -> AttentionNetwork:  # noqa: ANN401
    """A network of ours without weights; `model_args` are what a file says of it, `options` are timm's.

    Raises:
        ModelError: there is no such network, or these are no settings of it.
    """
    if unknown := model_args.keys() - _read_settings(architecture).keys():
        raise ModelError(f"{architecture} has no setting {', '.join(sorted(unknown))}")
    try:
        model: AttentionNetwork = timm.create_model(architecture, num_classes=num_classes, **model_args, **options)
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        raise ModelError(f"{architecture} cannot be built with {dict(model_args)}: {error}") from error
    return model


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, floating ones as float32; refused where one is not finite."""
    if not path.is_file():
        raise ModelError(f"there is no file {path}")
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise ModelError(f"{path} is damaged: {error}") from error
    check_finite(tensors, str(path))
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}


def count_stored(path: Path) -> int:
    """How many numbers a safetensors file holds, by its header."""
    try:
        with safe_open(path, framework="pt") as file:
            return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} is damaged: {error}") from error


def check_finite(tensors: Mapping[str, Tensor], where: str) -> None:
    """Raise a ModelError that names the first tensor with a number that is not finite, if there is one."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ModelError(f"{where} holds numbers that are not finite: {name}")


def fill_model(model: torch.nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Put `tensors` into `model`; a ModelError says which names or shapes differ."""
    found, expected = (
        {name: tuple(tensor.shape) for name, tensor in each.items()} for each in (tensors, model.state_dict())
    )
    if problems := tensor_problems(found, expected):
        raise ModelError(f"{where} does not fit the network: {problems}")
    model.load_state_dict(tensors)


def pooling_of(config: ModelConfig) -> Pooling:
    """Whether the network of `config` has a single class token or one per class."""
    settings = {**_read_settings(config.architecture), **config.model_args}
    return "per-class" if settings["class_tokens"] else "single"


def change_pooling(
    model: AttentionNetwork, config: ModelConfig, pooling: Pooling, options: Mapping[str, Any]
) -> tuple[AttentionNetwork, ModelConfig]:
    """The network with `pooling`, and its facts; the same ones where it has that already.

    Every class token begins as the single one with a small part of its own, and keeps the class's row of the head; all
    other weights are taken over. What is lost is the single token's own key and value: class tokens see patches only.

    Raises:
        ModelError: the network has class tokens, and a single one is asked for.
    """
    if pooling_of(config) == pooling:
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


def change_classes(model: AttentionNetwork, old: tuple[str, ...], new: tuple[str, ...]) -> None:
    """Give `model` a head for the `new` classes: the old one with its rows moved where only the order differs."""
    if set(old) != set(new):
        model.reset_classifier(len(new))
        return
    order = [old.index(name) for name in new]
    with torch.no_grad():
        for parameter in model.head.parameters():
            parameter.copy_(parameter[order])
        token = model.pooling.cls_token
        if token.shape[1] > 1:  # class tokens move with their classes
            token.copy_(token[:, order])
