"""Backbones that a person names: `timm:NAME`, `timm:NAME:FILE.safetensors`, `timm:local-dir:FOLDER`."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import timm
from timm.models import get_pretrained_cfg
from torch import Tensor, nn

from pcn_cli.errors import DownloadError, ModelError
from pcn_cli.models.backbone import NOT_FOR_BACKBONES
from pcn_cli.models.folder import CONFIG, WEIGHTS, check_finite, fill_model, read_tensors
from pcn_cli.models.opener import is_offline
from pcn_cli.records.preprocessing import Preprocessing

PREFIX = "timm:"
_LOCAL = "local-dir:"


@dataclass(frozen=True, kw_only=True)
class TimmSource:
    """A timm backbone and where its weights come from; `file` None means that timm fetches them.

    `pretrained_cfg` is timm's: input size, mean, standard deviation, crop and so on.
    """

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    file: Path | None = None
    pretrained_cfg: dict[str, Any] = field(default_factory=dict)


def parse_timm_source(source: str) -> TimmSource:
    """What `source` names.

    Raises:
        ModelError: there is no such network in timm, or the folder is not in timm's layout.
    """
    rest = source.removeprefix(PREFIX)
    if rest.startswith(_LOCAL):
        return _read_folder(Path(rest.removeprefix(_LOCAL)).expanduser())
    name, _, file = rest.partition(":")
    try:
        known = get_pretrained_cfg(name, allow_unregistered=False)
    except RuntimeError as error:
        near = ", ".join(timm.list_models(f"{name.partition('.')[0][:6]}*")[:3])
        raise ModelError(
            f"timm has no network called {name!r}" + (f"; near: {near}" if near else ""),
            "timm:NAME, timm:NAME:FILE.safetensors or timm:local-dir:FOLDER",
        ) from error
    return TimmSource(
        name=name, file=Path(file).expanduser() if file else None, pretrained_cfg=known.to_dict() if known else {}
    )


def timm_preprocessing(source: TimmSource) -> Preprocessing:
    """How the backbone wants its photos.

    Raises:
        ModelError: it does not take photos.
    """
    known = source.pretrained_cfg
    channels, height, width = known.get("input_size") or (3, 224, 224)
    if channels != 3:
        raise ModelError(f"{PREFIX}{source.name} takes {channels} channels, photos have 3")
    default = Preprocessing(height=height, width=width)
    return replace(
        default,
        crop_pct=float(known.get("crop_pct") or default.crop_pct),
        interpolation="bilinear" if known.get("interpolation") == "bilinear" else "bicubic",
        mean=tuple(known.get("mean") or default.mean),
        std=tuple(known.get("std") or default.std),
    )


def pooled_args(source: TimmSource) -> dict[str, Any]:
    """The `model_args` of attention pooling on this backbone."""
    return {"backbone": source.name} | ({"backbone_args": source.settings} if source.settings else {})


def read_backbone(source: TimmSource) -> dict[str, Tensor]:
    """The weights of the backbone, its classifier left out.

    Raises:
        ModelError: the file is no safetensors, damaged, or does not fit. DownloadError: timm could not fetch them.
    """
    if source.file is None:
        tensors = _fetch(source).state_dict()
        check_finite(tensors, f"{PREFIX}{source.name}")
        return tensors
    if source.file.suffix != ".safetensors":
        raise ModelError(f"{source.file} is no safetensors; only those are read for a timm backbone")
    tensors = read_tensors(source.file)
    classifier = source.pretrained_cfg.get("classifier")
    weight = tensors.get(f"{classifier}.weight")
    original = _build(source, num_classes=len(weight) if weight is not None else 0)
    # The whole file must fit, its classifier too; then the classifier goes.
    fill_model(original, tensors, str(source.file))
    return _without_classifier(original)


def _without_classifier(network: nn.Module) -> dict[str, Tensor]:
    network.reset_classifier(0)  # type: ignore[operator]
    return dict(network.state_dict())


def _fetch(source: TimmSource) -> nn.Module:
    if is_offline():
        raise DownloadError(
            f"offline: the weights of {PREFIX}{source.name} would have to be fetched",
            f"name a folder: {PREFIX}{_LOCAL}FOLDER with {CONFIG} and {WEIGHTS}",
        )
    if not source.pretrained_cfg.get("url") and not source.pretrained_cfg.get("hf_hub_id"):
        raise ModelError(f"timm has no weights for {source.name}", f"{PREFIX}{source.name}:FILE.safetensors")
    try:
        network: nn.Module = timm.create_model(source.name, pretrained=True, **source.settings)
    except Exception as error:  # whatever timm, the hub and their transports raise
        raise DownloadError(
            f"timm could not fetch {source.name}: {error}", "try again, or name a local file"
        ) from error
    network.reset_classifier(0)  # type: ignore[operator]
    return network


def _build(source: TimmSource, *, num_classes: int) -> nn.Module:
    try:
        network: nn.Module = timm.create_model(source.name, num_classes=num_classes, **source.settings)
    except (TypeError, RuntimeError) as error:
        raise ModelError(f"{source.name} cannot be built with {source.settings}: {error}") from error
    return network


def _read_folder(folder: Path) -> TimmSource:
    path = folder / CONFIG
    if not path.is_file() or not (folder / WEIGHTS).is_file():
        raise ModelError(f"{folder} should hold {CONFIG} and {WEIGHTS}, as timm's local-dir does")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        name, known = str(config["architecture"]), dict(config["pretrained_cfg"])
        settings = {key: value for key, value in dict(config.get("model_args") or {}).items() if value is not None}
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} is not in timm's layout: {error!r}") from error
    if not timm.is_model(name):
        raise ModelError(f"{path} names {name!r}, which timm does not know")
    settings = {key: value for key, value in settings.items() if key not in NOT_FOR_BACKBONES | {"in_chans"}}
    return TimmSource(name=name, settings=settings, file=folder / WEIGHTS, pretrained_cfg=known)
