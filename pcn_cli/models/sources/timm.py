"""Backbones that a person names: `timm:NAME`, `timm:NAME:FILE.safetensors`, `timm:local-dir:FOLDER`.

Only safetensors are read: timm itself would also take a pickle where a network has nothing else.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from torch import nn

from pcn_cli.errors import DownloadError, ModelError, shown
from pcn_cli.files.reading import read_json
from pcn_cli.models.backbone import NOT_FOR_BACKBONES
from pcn_cli.models.build import (
    CONFIG,
    CONFIG_BYTES,
    WEIGHTS,
    fill_model,
    is_bounded,
    make_model,
    no_larger_than,
    read_tensors,
)
from pcn_cli.models.cached import missing_backbone
from pcn_cli.models.download import is_offline
from pcn_cli.models.sources.base import LOCAL_PREFIX, TIMM_PREFIX, Loaded, Source
from pcn_cli.models.weights import Fetcher
from pcn_cli.records.codec import from_plain
from pcn_cli.records.model import ModelConfig, Preprocessing
from pcn_cli.tensors.private import import_timm

timm = import_timm()

POOLING_RANK = 64  # at full rank the pooling of 1,280 channels would have 16 million numbers, beside a trunk of 2
_FITS = {"center": "crop", "squash": "squash", "border": "pad"}  # timm's crop_mode, and our word for it


@dataclass(kw_only=True)
class TimmSource(Source):
    """A timm backbone, to be pooled by attention; `file` None means the hub that timm names.

    `settings` are those of the backbone; `pretrained_cfg` is timm's: input size, mean, standard deviation and so on.
    """

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    file: Path | None = None
    pretrained_cfg: dict[str, Any] = field(default_factory=dict)

    def config(self) -> ModelConfig:
        """Attention pooling on this backbone, which wants its photos as timm says."""
        preprocessing = self._preprocessing()
        return ModelConfig(
            architecture="attention_pooled",
            model_args={"backbone": self.name, "pooling_rank": POOLING_RANK}
            | ({"backbone_args": self.settings} if self.settings else {}),
            classes=(),
            preprocessing=preprocessing,
            card=f"{TIMM_PREFIX}{self.name}",
            licence=str(self.pretrained_cfg.get("license") or ""),
        )

    def _preprocessing(self) -> Preprocessing:
        """How timm's words say that the photos are wanted; a ModelError where they make no sense.

        What timm would still cut off around a photo that was squashed or padded, a few per cent, is kept.
        """
        known = self.pretrained_cfg
        try:
            channels, height, width = known.get("input_size") or (3, 224, 224)
            fit = _FITS[str(known.get("crop_mode") or "center")]
            wanted = {
                "height": height,
                "width": width,
                "fit": fit,
                "crop_pct": (known.get("crop_pct") or None) if fit == "crop" else 1.0,
                "interpolation": "bilinear" if known.get("interpolation") == "bilinear" else "bicubic",
                "mean": known.get("mean"),
                "std": known.get("std"),
            }
            given = {name: list(value) if isinstance(value, tuple) else value for name, value in wanted.items()}
            preprocessing = from_plain(Preprocessing, {name: value for name, value in given.items() if value})
        except (ValueError, TypeError, KeyError) as error:
            raise ModelError(f"{TIMM_PREFIX}{self.name} wants its photos in an unknown way: {shown(error)}") from error
        if channels != 3:
            raise ModelError(f"{TIMM_PREFIX}{self.name} takes {channels} channels, photos have 3")
        return preprocessing

    @cached_property
    def parameters(self) -> int:
        """Those of the backbone and the pooling, without a head."""
        return sum(parameter.numel() for parameter in self.sketch(0).parameters())

    @property
    def download_bytes(self) -> int:
        """What the hub would send; without the pooling it is a little less."""
        return 0 if self.file else 4 * self.parameters

    def check_available(self, *, offline: bool) -> None:
        """Refuse what is no safetensors, or neither in the cache of the hub nor to be fetched."""
        if self.file is not None:
            if self.file.suffix != ".safetensors":
                raise ModelError(f"{self.file} is no safetensors; only those are read for a timm backbone")
            if not self.file.is_file():
                raise ModelError(f"there is no file {self.file}")
            return
        repository, revision = self._hub_place()
        if (offline or is_offline()) and not isinstance(
            huggingface_hub.try_to_load_from_cache(repository, WEIGHTS, revision=revision), str
        ):
            raise missing_backbone(self.name)

    def bring(self, *, fetch: Fetcher) -> None:
        if self.file is None:
            self._fetch(offline=fetch.offline)

    def load(self, classes: tuple[str, ...], options: dict[str, Any], *, fetch: Fetcher) -> Loaded:
        """The backbone with its weights under a fresh pooling, with a head for `classes`."""
        config = replace(self.config(), classes=classes)
        model = make_model(config.architecture, len(classes), config.model_args, **options)
        network = self._read_network(fetch)
        network.reset_classifier(0)  # type: ignore[operator]
        fill_model(model.get_submodule("backbone"), network.state_dict(), config.card)
        return model, config

    def read(self, *, fetch: Fetcher) -> Loaded:  # noqa: ARG002
        """Refused: nothing has taught the pooling yet."""
        raise ModelError(
            f"{TIMM_PREFIX}{self.name} has no trained attention pooling yet, so it cannot predict",
            f"pcn finetune PHOTOS --model {TIMM_PREFIX}{self.name}",
        )

    def _read_classifier(self, fetch: Fetcher) -> tuple[nn.Module, Preprocessing]:
        return self._read_network(fetch, needs_classifier=True), self.config().preprocessing

    def _read_network(self, fetch: Fetcher, *, needs_classifier: bool = False) -> nn.Module:
        """The network as timm made it, with its trained weights; its own classifier too, where the file has one."""
        self.check_available(offline=fetch.offline)
        path = self.file or self._fetch(offline=fetch.offline)
        tensors = timm.models.clean_state_dict(read_tensors(path))  # without what torch.compile puts before names
        classifier = tensors.get(f"{self.pretrained_cfg.get('classifier')}.weight")
        if classifier is None and needs_classifier:
            raise ModelError(f"{path} holds no classifier, so it names nothing", "name a network trained to classify")
        network: nn.Module
        if self.file is None:  # timm knows how to rename the tensors of older layouts
            overlay = {"state_dict": tensors}
            try:
                network = timm.create_model(self.name, pretrained=True, pretrained_cfg_overlay=overlay, **self.settings)
            except (RuntimeError, KeyError, TypeError, ValueError) as error:
                raise ModelError(f"the weights on the hub do not fit {self.name}: {error}") from error
            return network
        try:
            num_classes = 0 if classifier is None else len(classifier)
            with no_larger_than(tensors, str(path)):
                network = timm.create_model(self.name, num_classes=num_classes, **self.settings)
        except (TypeError, ValueError, RuntimeError, AssertionError) as error:
            raise ModelError(f"{self.name} cannot be built with {shown(self.settings)}: {error}") from error
        fill_model(network, tensors, str(path))
        return network

    def _hub_place(self) -> tuple[str, str | None]:
        """The repository of the weights on the hub, and its revision where timm names one."""
        place = str(self.pretrained_cfg.get("hf_hub_id") or "")
        if not place:
            found = self.pretrained_cfg.get("url")
            raise ModelError(
                f"timm has no safetensors for {self.name}" + (f", only {found}" if found else ""),
                f"{TIMM_PREFIX}{self.name}:FILE.safetensors",
            )
        repository, _, revision = place.partition("@")
        return repository, revision or None

    def _fetch(self, *, offline: bool) -> Path:
        """The safetensors in the cache of the hub, downloaded where they are not there."""
        repository, revision = self._hub_place()
        own_file = f"{TIMM_PREFIX}{self.name}:FILE.safetensors"
        try:
            here_only = offline or is_offline()
            path = huggingface_hub.hf_hub_download(repository, WEIGHTS, revision=revision, local_files_only=here_only)
            return Path(path)
        except Exception as error:  # whatever the hub and its transports raise
            # The hub's error for "not here, and nobody answers" is a kind of "there is no such file".
            if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
                raise ModelError(f"{repository} on the hub holds no {WEIGHTS}", own_file) from error
            raise DownloadError(
                f"could not fetch {WEIGHTS} of {repository}: {error}",
                f"try again, or name a local file: {own_file}; or --model nano, which is inside pcn",
            ) from error


def parse_timm(source: str) -> TimmSource:
    """The backbone that `source` names, with the prefix; a ModelError where timm does not know it."""
    if source.startswith(LOCAL_PREFIX):
        return _read_folder(Path(source.removeprefix(LOCAL_PREFIX)).expanduser())
    name, _, file = source.removeprefix(TIMM_PREFIX).partition(":")
    try:
        known = timm.models.get_pretrained_cfg(name, allow_unregistered=False)
    except RuntimeError as error:
        near = ", ".join(timm.list_models(f"{name.partition('.')[0][:6]}*")[:3])
        raise ModelError(
            f"timm has no network called {name!r}" + (f"; near: {near}" if near else ""),
            "timm:NAME, timm:NAME:FILE.safetensors or timm:local-dir:FOLDER",
        ) from error
    path = Path(file).expanduser() if file else None
    return TimmSource(name=name, file=path, pretrained_cfg=known.to_dict() if known else {})


def _read_folder(folder: Path) -> TimmSource:
    path = folder / CONFIG
    if not path.is_file() or not (folder / WEIGHTS).is_file():
        raise ModelError(f"{folder} should hold {CONFIG} and {WEIGHTS}, as timm's local-dir does")
    try:
        config = read_json(path, most=CONFIG_BYTES)
        name, known = str(config["architecture"]), dict(config["pretrained_cfg"])
        settings = {key: value for key, value in dict(config.get("model_args") or {}).items() if value is not None}
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise ModelError(f"{path} is not in timm's layout: {shown(error)}") from error
    if not timm.is_model(name):
        raise ModelError(f"{path} names {name!r}, which timm does not know")
    settings = {key: value for key, value in settings.items() if key not in NOT_FOR_BACKBONES | {"in_chans"}}
    if not is_bounded(settings):
        raise ModelError(f"{path}: {name} is not built with {shown(settings)}: a value is too large or too deep")
    return TimmSource(name=name, settings=settings, file=folder / WEIGHTS, pretrained_cfg=known)
