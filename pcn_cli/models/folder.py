"""A model folder: config.json and model.safetensors, in the layout of timm's `local-dir:` and the HF Hub.

timm reads architecture, num_classes, model_args and pretrained_cfg; what is ours (classes, preprocessing, patch_grid,
temperature, calibration, selection, conformal, multi_label, thresholds, card, licence) stands beside them at the top
level. Nothing else than safetensors is ever opened.
"""

import json
import math
from pathlib import Path
from typing import Any, cast

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pcn_cli.errors import ModelError
from pcn_cli.files.atomic import write_json, write_with
from pcn_cli.models.aggregation import AttentionPooled
from pcn_cli.models.published import tell_architecture, to_published
from pcn_cli.records.codec import from_plain, to_plain
from pcn_cli.records.model import ModelConfig, Preprocessing

CONFIG, WEIGHTS = "config.json", "model.safetensors"
# What a config.json may say about each family of ours.
_MODEL_ARGS = {
    "patchconvnet": {"embed_dim", "depth", "class_tokens"},
    "attention_pooled": {"backbone", "backbone_args", "embed_dim", "class_tokens"},
}
_CROP_MODES = {"crop": "center", "pad": "border", "squash": "squash"}


def save_model_folder(folder: Path, model: nn.Module, config: ModelConfig) -> None:
    """Put `model` and its facts into `folder`, the weights first.

    Raises:
        ModelError: a weight is not finite. ResourceError: not writable.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    check_finite(tensors, "the network")
    write_with(folder / WEIGHTS, lambda part: save_file(tensors, part, metadata={"format": "pt"}))
    write_json(folder / CONFIG, _timm_config(model, config) | to_plain(config))


def load_model_folder(folder: Path) -> tuple[nn.Module, ModelConfig]:
    """The network of `folder` in evaluation mode, and its facts.

    Raises:
        ModelError: a file is missing or damaged, or the two do not belong together; the message says what was found.
    """
    config = read_config(folder)
    tensors = read_tensors(folder / WEIGHTS)
    if config.architecture != "attention_pooled":
        _check_size(config, tensors, folder)
    model = make_model(config.architecture, len(config.classes), config.model_args)
    fill_model(model, tensors, str(folder / WEIGHTS))
    if config.architecture == "attention_pooled":
        cast("AttentionPooled", model).patch_grid = config.patch_grid
    return model.eval(), config


def read_config(folder: Path) -> ModelConfig:
    """The facts of a model folder.

    Raises:
        ModelError: there is no config.json, or it is not one of ours.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise ModelError(f"{folder} is no model folder: there is no {CONFIG}", "name a run, a model folder or a card")
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        config = from_plain(ModelConfig, plain)
        _check_config(config)
    except (ValueError, AttributeError, RecursionError) as error:
        raise ModelError(
            f"{path} is not a config of ours: {error}", "was the folder written by pcn finetune?"
        ) from error
    return config


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, all finite; floating ones as float32.

    Raises:
        ModelError: there is no such file, it is damaged, or a number is not finite.
    """
    if not path.is_file():
        raise ModelError(f"there is no file {path}")
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise ModelError(f"{path} is damaged: {error}") from error
    check_finite(tensors, str(path))
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}


def check_finite(tensors: dict[str, Tensor], where: str) -> None:
    """Nothing, unless a number is not finite.

    Raises:
        ModelError: names the first tensor that holds one.
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ModelError(f"{where} holds numbers that are not finite: {name}")


def make_model(architecture: str, num_classes: int, model_args: dict[str, Any], **options: Any) -> nn.Module:  # noqa: ANN401
    """A network of ours without weights.

    Raises:
        ModelError: there is no such network, or these are no settings of it.
    """
    family = architecture if architecture == "attention_pooled" else architecture.partition("_")[0]
    allowed = _MODEL_ARGS.get(family, set())
    if not allowed or not timm.is_model(architecture) or "." in architecture:
        raise ModelError(f"there is no network called {architecture!r} here", "pcn models list")
    if unknown := model_args.keys() - allowed:
        raise ModelError(f"{architecture} has no setting {', '.join(sorted(unknown))}")
    try:
        model: nn.Module = timm.create_model(architecture, num_classes=num_classes, **model_args, **options)
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        raise ModelError(f"{architecture} cannot be built with {model_args}: {error}") from error
    return model


def fill_model(model: nn.Module, tensors: dict[str, Tensor], where: str) -> None:
    """Put `tensors` into `model`.

    Raises:
        ModelError: names or shapes differ; the message names the first of them.
    """
    expected = model.state_dict()
    problems = [f"{name} is missing" for name in expected if name not in tensors]
    problems += [f"{name} is unexpected" for name in tensors if name not in expected]
    problems += [
        f"{name} has shape {tuple(tensors[name].shape)}, expected {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in tensors and tensors[name].shape != tensor.shape
    ]
    if problems:
        more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise ModelError(f"{where} does not fit the network: {'; '.join(problems[:3])}{more}")
    model.load_state_dict(tensors)


def _check_config(config: ModelConfig) -> None:
    if not config.classes:
        raise ValueError("it names no classes")
    if not math.isfinite(config.temperature):
        raise ValueError(f"expected a temperature, found {config.temperature}")


def _check_size(config: ModelConfig, tensors: dict[str, Tensor], folder: Path) -> None:
    """Nothing, unless the tensors are another PatchConvNet than config.json says; told before anything is built."""
    found = tell_architecture({name: tuple(tensor.shape) for name, tensor in to_published(tensors).items()})
    if found.num_classes != len(config.classes):
        raise ModelError(f"{folder}: {CONFIG} has {len(config.classes)} classes, {WEIGHTS} has {found.num_classes}")


def _timm_config(model: nn.Module, config: ModelConfig) -> dict[str, Any]:
    preprocessing: Preprocessing = config.preprocessing
    own = getattr(model, "pretrained_cfg", {})
    return {
        "num_classes": len(config.classes),
        "num_features": model.num_features,
        "label_names": list(config.classes),
        "pretrained_cfg": {
            "tag": "pcn",
            "custom_load": False,
            "input_size": [3, preprocessing.height, preprocessing.width],
            "fixed_input_size": False,
            "interpolation": preprocessing.interpolation,
            "crop_pct": preprocessing.crop_pct if preprocessing.fit == "crop" else 1.0,
            "crop_mode": _CROP_MODES[preprocessing.fit],
            "mean": list(preprocessing.mean),
            "std": list(preprocessing.std),
            "num_classes": len(config.classes),
            "first_conv": own.get("first_conv"),
            "classifier": "head",
            "license": config.licence.lower(),
        },
    }
