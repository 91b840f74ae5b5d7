"""A model folder: config.json and model.safetensors, in the layout of timm's `local-dir:` and the HF Hub.

timm reads architecture, num_classes, model_args and pretrained_cfg; what is ours (classes, preprocessing, patch_grid,
temperature, calibration, selection, conformal, multi_label, thresholds, precision, agreement, card, licence) stands
beside them at the top level. Nothing else than safetensors is ever opened.
"""

import math
import shlex
from pathlib import Path
from typing import Any

from torch import nn

from pcn_cli.errors import ModelError
from pcn_cli.files.atomic import write_json
from pcn_cli.files.reading import read_json
from pcn_cli.models.build import (
    CONFIG,
    CONFIG_BYTES,
    WEIGHTS,
    check_finite,
    count_stored,
    fill_model,
    make_model,
    no_larger_than,
    read_tensors,
    timm_cfg,
)
from pcn_cli.models.sources.base import LOCAL_PREFIX, Loaded, Source
from pcn_cli.models.weights import Fetcher
from pcn_cli.records.codec import from_plain, to_plain
from pcn_cli.records.model import ModelConfig
from pcn_cli.tensors.store import save_tensors


class FolderSource(Source):
    """The network of a model folder, which a run holds as `model/`; called after what its training started from."""

    def __init__(self, path: Path) -> None:
        self.path, self._config = path, read_config(path)
        self.name = self._config.card.removeprefix("timm:") or path.resolve().name

    def config(self) -> ModelConfig:
        return self._config

    @property
    def parameters(self) -> int:
        return count_stored(self.path / WEIGHTS)

    def load(self, classes: tuple[str, ...], options: dict[str, Any], *, fetch: Fetcher) -> Loaded:  # noqa: ARG002
        trained, config = load_model_folder(self.path)
        if not options:
            return trained, config
        model = make_model(config.architecture, len(config.classes), config.model_args, **options)
        model.load_state_dict(trained.state_dict())
        return model, config


def save_model_folder(folder: Path, model: nn.Module, config: ModelConfig) -> None:
    """Put `model` and its facts into `folder`, the weights first.

    Raises:
        ModelError: a weight is not finite. ResourceError: not writable.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    check_finite(tensors, "the network")
    save_tensors(folder / WEIGHTS, tensors, metadata={"format": "pt"})
    timms = {
        "num_classes": len(config.classes),
        "num_features": model.num_features,
        "label_names": config.classes,
        "pretrained_cfg": {
            "tag": "pcn",
            "custom_load": False,
            "fixed_input_size": False,
            "first_conv": getattr(model, "pretrained_cfg", {}).get("first_conv"),
            **timm_cfg(config.preprocessing, len(config.classes), config.licence),
        },
    }
    write_json(folder / CONFIG, timms | to_plain(config))


def load_model_folder(folder: Path) -> Loaded:
    """The network of `folder` in evaluation mode, and its facts.

    Raises:
        ModelError: a file is missing or damaged, or the two do not belong together; the message says what was found.
    """
    config, path = read_config(folder), folder / WEIGHTS
    tensors = read_tensors(path)
    head = tensors.get("head.bias")
    if head is not None and head.numel() != len(config.classes):  # told before anything is built
        raise ModelError(f"{folder}: {CONFIG} has {len(config.classes)} classes, {WEIGHTS} has {head.numel()}")
    with no_larger_than(tensors, str(path)):
        model = make_model(config.architecture, len(config.classes), config.model_args)
    fill_model(model, tensors, str(path))
    model.patch_grid = config.patch_grid
    return model.eval(), config


def read_config(folder: Path) -> ModelConfig:
    """The facts of a model folder; a ModelError where it has no config.json, or not one of ours."""
    path = folder / CONFIG
    if not path.is_file():
        raise ModelError(f"{folder} is no model folder: there is no {CONFIG}", "name a run, a model folder or a card")
    document, hint = None, "was the folder written by pcn finetune?"
    try:
        document = read_json(path, most=CONFIG_BYTES)
        config = from_plain(ModelConfig, document)
    except (ValueError, AttributeError, OSError) as error:
        if _is_timms(document):
            own = shlex.join(["--model", f"{LOCAL_PREFIX}{folder}"])
            raise ModelError(f"{folder} holds a network as timm saves it, not a model of pcn", own) from error
        raise ModelError(f"{path} is not a config of ours: {error}", hint) from error
    if not config.classes or not math.isfinite(config.temperature):
        found = f"a temperature of {config.temperature}" if config.classes else "no classes"
        raise ModelError(f"{path} is not a config of ours: it names {found}", hint)
    return config


def _is_timms(document: object) -> bool:
    return isinstance(document, dict) and "pretrained_cfg" in document and not {"classes", "card"} & document.keys()
