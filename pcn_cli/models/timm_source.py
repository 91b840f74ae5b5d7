"""Backbones that a person names: `timm:NAME`, `timm:NAME:FILE.safetensors`, `timm:local-dir:FOLDER`.

Only safetensors are read: timm itself would also take a pickle where a network has nothing else.
"""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import huggingface_hub
import timm
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from timm.models import get_pretrained_cfg
from torch import Tensor, nn

from pcn_cli.errors import DownloadError, ModelError
from pcn_cli.models.backbone import NOT_FOR_BACKBONES
from pcn_cli.models.folder import CONFIG, WEIGHTS, fill_model, read_tensors
from pcn_cli.models.opener import is_offline
from pcn_cli.records.model import Preprocessing

PREFIX = "timm:"
_LOCAL = "local-dir:"
LOCAL_PREFIX = PREFIX + _LOCAL


@dataclass(frozen=True, kw_only=True)
class TimmSource:
    """A timm backbone and where its weights come from; `file` None means the hub that timm names.

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


def check_backbone(source: TimmSource, *, offline: bool) -> None:
    """Nothing, if the weights are here or may be fetched; nothing is downloaded.

    Raises:
        ModelError: there are no safetensors of it. DownloadError: they are not here, and the network is forbidden.
    """
    if source.file is not None:
        if source.file.suffix != ".safetensors":
            raise ModelError(f"{source.file} is no safetensors; only those are read for a timm backbone")
        if not source.file.is_file():
            raise ModelError(f"there is no file {source.file}")
        return
    repository, revision = _hub_place(source)
    if (offline or is_offline()) and not isinstance(
        huggingface_hub.try_to_load_from_cache(repository, WEIGHTS, revision=revision), str
    ):
        raise DownloadError(
            f"offline: the weights of {PREFIX}{source.name} would have to be fetched",
            f"name a file or a folder: {PREFIX}{source.name}:FILE.safetensors, {LOCAL_PREFIX}FOLDER",
        )


def read_backbone(source: TimmSource, *, offline: bool = False) -> dict[str, Tensor]:
    """The weights of the backbone, its classifier left out.

    Raises:
        ModelError: there are no safetensors of it, or they are damaged or do not fit.
        DownloadError: they could not be fetched, or may not be.
    """
    if source.file is None:
        return _without_classifier(_fill(source, read_tensors(_fetch(source, offline=offline))))
    if source.file.suffix != ".safetensors":
        raise ModelError(f"{source.file} is no safetensors; only those are read for a timm backbone")
    tensors = read_tensors(source.file)
    classifier = source.pretrained_cfg.get("classifier")
    weight = tensors.get(f"{classifier}.weight")
    original = _build(source, num_classes=len(weight) if weight is not None else 0)
    # The whole file must fit, its classifier too; then the classifier goes.
    fill_model(original, tensors, str(source.file))
    return _without_classifier(original)


def read_network(source: TimmSource, *, offline: bool = False) -> nn.Module:
    """The network with its own classifier and trained weights, as timm made it.

    Raises:
        ModelError: there are no safetensors of it, or they are damaged or do not fit; or it has no classifier.
        DownloadError: they could not be fetched, or may not be.
    """
    file = source.file or _fetch(source, offline=offline)
    tensors = read_tensors(file)
    classifier = source.pretrained_cfg.get("classifier")
    if f"{classifier}.weight" not in tensors:
        raise ModelError(f"{file} holds no classifier, so it names nothing", "name a network trained to classify")
    if source.file is None:
        return _fill(source, tensors)
    network = _build(source, num_classes=len(tensors[f"{classifier}.weight"]))
    fill_model(network, tensors, str(file))
    return network


def _without_classifier(network: nn.Module) -> dict[str, Tensor]:
    network.reset_classifier(0)  # type: ignore[operator]
    return dict(network.state_dict())


def _hub_place(source: TimmSource) -> tuple[str, str | None]:
    """The repository of the weights on the hub, and its revision where timm names one."""
    place = str(source.pretrained_cfg.get("hf_hub_id") or "")
    if not place:
        found = source.pretrained_cfg.get("url")
        raise ModelError(
            f"timm has no safetensors for {source.name}" + (f", only {found}" if found else ""),
            f"{PREFIX}{source.name}:FILE.safetensors",
        )
    repository, _, revision = place.partition("@")
    return repository, revision or None


def _fetch(source: TimmSource, *, offline: bool) -> Path:
    """The safetensors of the backbone in the cache of the hub, downloaded where they are not there."""
    check_backbone(source, offline=offline)
    repository, revision = _hub_place(source)
    try:
        return Path(
            huggingface_hub.hf_hub_download(
                repository, WEIGHTS, revision=revision, local_files_only=offline or is_offline()
            )
        )
    except Exception as error:  # whatever the hub and its transports raise
        # The hub's error for "not here, and nobody answers" is a kind of "there is no such file".
        if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
            raise ModelError(
                f"{repository} on the hub holds no {WEIGHTS}", f"{PREFIX}{source.name}:FILE.safetensors"
            ) from error
        raise DownloadError(
            f"could not fetch {WEIGHTS} of {repository}: {error}",
            f"try again, or name a local file: {PREFIX}{source.name}:FILE.safetensors",
        ) from error


def _fill(source: TimmSource, tensors: dict[str, Tensor]) -> nn.Module:
    """The network with its own classifier, filled by timm, which knows how to rename tensors of older layouts."""
    try:
        network: nn.Module = timm.create_model(
            source.name, pretrained=True, pretrained_cfg_overlay={"state_dict": tensors}, **source.settings
        )
    except (RuntimeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"the weights on the hub do not fit {source.name}: {error}") from error
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
