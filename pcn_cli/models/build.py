"""From a word that a person types to a network: to start training from, to predict with.

A word is a card (`s60`), a timm backbone (`timm:…`), a model folder, or a weight file.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pcn_cli.errors import ModelError
from pcn_cli.models.aggregation import AttentionPooled
from pcn_cli.models.class_tokens import change_pooling
from pcn_cli.models.folder import fill_model, load_model_folder, make_model, read_config
from pcn_cli.models.grid import measure_patch_grid
from pcn_cli.models.sources import (
    Fetch,
    card_config,
    file_config,
    find_source,
    read_weights,
    tell_file,
    timm_name,
)
from pcn_cli.models.timm_source import (
    PREFIX,
    TimmSource,
    parse_timm_source,
    pooled_args,
    read_backbone,
    read_network,
    timm_preprocessing,
)
from pcn_cli.models.zoo import Card
from pcn_cli.records.model import Fit, ModelConfig, Pooling, Preprocessing


def start_model(
    source: str,
    classes: tuple[str, ...],
    *,
    fetch: Fetch,
    pretrained: bool = True,
    size: int | None = None,
    fit: Fit | None = None,
    crop_pct: float | None = None,
    pooling: Pooling | None = None,
    drop_path: float = 0.0,
    dropout: float = 0.0,
    seed: int = 0,
) -> tuple[nn.Module, ModelConfig]:
    """The network to start training from, with a head for `classes`, and its facts.

    The head is new (drawn from `seed`) unless the source knows exactly these classes; then its rows are put into their
    order. Cards without weights, and everything without `pretrained`, start from random numbers. `size`, `fit`,
    `crop_pct` and `pooling` are the source's own where they are None.

    Raises:
        ModelError, DownloadError: the source is none, is damaged, or cannot be fetched.
    """
    options = {"drop_rate": dropout} | ({"drop_path_rate": drop_path} if drop_path else {})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if source.startswith(PREFIX):
            model, config = _start_pooled(parse_timm_source(source), classes, fetch, options, pretrained=pretrained)
        elif pretrained:
            model, config = _start_known(source, classes, fetch, options)
            if config.classes != classes:
                _change_classes(model, config.classes, classes)
        else:
            model, config = _start_random(find_source(source), classes, options)
        if pooling:
            model, config = change_pooling(model, replace(config, classes=classes), pooling, options)
    preprocessing = replace(
        config.preprocessing,
        height=size or config.preprocessing.height,
        width=size or config.preprocessing.width,
        fit=fit or config.preprocessing.fit,
        crop_pct=crop_pct or config.preprocessing.crop_pct,
    )
    if isinstance(model, AttentionPooled):
        if _input_size(preprocessing) != _input_size(config.preprocessing) or source.startswith(PREFIX):
            config = replace(config, patch_grid=measure_patch_grid(model.backbone, _input_size(preprocessing)))
        model.patch_grid = config.patch_grid
    # What an earlier training calibrated says nothing of this one.
    fresh = ModelConfig(architecture=config.architecture, classes=classes, preprocessing=preprocessing)
    facts = {name: getattr(config, name) for name in ("model_args", "patch_grid", "card", "licence")}
    return model, replace(fresh, **facts)


def read_model(source: str, *, fetch: Fetch) -> tuple[nn.Module, ModelConfig]:
    """The trained network behind `source` in evaluation mode, and its facts.

    Raises:
        ModelError, DownloadError: the source is none, has no weights, is damaged, or cannot be fetched.
    """
    if source.startswith(PREFIX):
        raise ModelError(
            f"{source} has no trained attention pooling yet, so it cannot predict",
            f"pcn finetune PHOTOS --model {source}",
        )
    found = find_source(source)
    if isinstance(found, Path) and found.is_dir():
        return load_model_folder(found)
    if isinstance(found, Card) and found.url is None:
        raise ModelError(f"{found.name} has no weights yet: {found.note}", f"pcn finetune PHOTOS --model {found.name}")
    model, config = read_weights(found, fetch, {})
    return model.eval(), config


def read_teacher(source: str, *, fetch: Fetch, size: int | None = None) -> tuple[nn.Module, Preprocessing]:
    """A trained network of any classes in evaluation mode, and how it wants its photos: whole, at `size` pixels.

    Raises:
        ModelError, DownloadError: the source is none, has no weights, is damaged, or cannot be fetched.
    """
    if source.startswith(PREFIX):
        named = parse_timm_source(source)
        network, preprocessing = read_network(named, offline=fetch.offline), timm_preprocessing(named)
    else:
        network, config = read_model(source, fetch=fetch)
        preprocessing = config.preprocessing
    height, width = size or preprocessing.height, size or preprocessing.width
    return network.eval(), replace(preprocessing, height=height, width=width, fit="crop", crop_pct=1.0)


def _start_known(
    source: str, classes: tuple[str, ...], fetch: Fetch, options: dict[str, Any]
) -> tuple[nn.Module, ModelConfig]:
    found = find_source(source)
    if isinstance(found, Path) and found.is_dir():
        trained, config = load_model_folder(found)
        model = make_model(config.architecture, len(config.classes), config.model_args, **options)
        model.load_state_dict(trained.state_dict())
        return model, config
    if isinstance(found, Card) and found.url is None:
        return _start_random(found, classes, options)
    return read_weights(found, fetch, options)


def _start_random(
    found: Card | Path, classes: tuple[str, ...], options: dict[str, Any]
) -> tuple[nn.Module, ModelConfig]:
    """The network of a card, model folder or weight file with random numbers for weights."""
    if isinstance(found, Card):
        config = card_config(found)
    elif found.is_dir():
        config = read_config(found)
    else:
        architecture, arguments = timm_name(tell_file(found))
        config = file_config(architecture, arguments, classes)
    return make_model(config.architecture, len(classes), config.model_args, **options), replace(config, classes=classes)


def _start_pooled(
    source: TimmSource, classes: tuple[str, ...], fetch: Fetch, options: dict[str, Any], *, pretrained: bool
) -> tuple[nn.Module, ModelConfig]:
    arguments = pooled_args(source)
    model = make_model("attention_pooled", len(classes), arguments, **options)
    if pretrained:
        tensors = read_backbone(source, offline=fetch.offline)
        fill_model(model.get_submodule("backbone"), tensors, f"{PREFIX}{source.name}")
    return model, ModelConfig(
        architecture="attention_pooled",
        model_args=arguments,
        classes=classes,
        preprocessing=timm_preprocessing(source),
        card=f"{PREFIX}{source.name}",
        licence=str(source.pretrained_cfg.get("license") or ""),
    )


def _change_classes(model: nn.Module, old: tuple[str, ...], new: tuple[str, ...]) -> None:
    """Give `model` a head for the `new` classes: the old one with its rows moved where only the order differs."""
    if set(old) != set(new):
        model.reset_classifier(len(new))  # type: ignore[operator]
        return
    order = [old.index(name) for name in new]
    parameters = dict(model.named_parameters())
    rows = ["head.weight", "head.bias"]
    with torch.no_grad():
        for name in rows:
            parameters[name].copy_(parameters[name][order])
        token = parameters["pooling.cls_token"]
        if token.shape[1] > 1:  # class tokens move with their classes
            token.copy_(token[:, order])


def _input_size(preprocessing: Preprocessing) -> tuple[int, int, int]:
    return (3, preprocessing.height, preprocessing.width)
