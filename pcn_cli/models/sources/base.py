"""What every source answers: its network's facts, a sketch of it, its weights, and a network to start training from."""

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from pcn_cli.models.build import change_classes, change_pooling, make_model
from pcn_cli.models.head import AttentionNetwork
from pcn_cli.models.weights import Fetcher
from pcn_cli.recipe.schema import Recipe
from pcn_cli.records.model import ModelConfig, Pooling, Preprocessing

TIMM_PREFIX, HUB_PREFIX = "timm:", "hf:"
LOCAL_PREFIX = TIMM_PREFIX + "local-dir:"

Loaded = tuple[AttentionNetwork, ModelConfig]


class Source(ABC):
    """A network that somebody named; `name` is what plans call it, `has_weights` whether there are any at all."""

    name: str
    has_weights: bool = True

    @abstractmethod
    def config(self) -> ModelConfig:
        """The facts of its network, without a download; no classes where it has none of its own."""

    @property
    @abstractmethod
    def parameters(self) -> int:
        """How many numbers its weights are."""

    @property
    def download_bytes(self) -> int:
        """About how much would have to be downloaded."""
        return 0

    def check_available(self, *, offline: bool) -> None:  # noqa: B027 - local files are here
        """Refuse weights that are not here and may not be fetched; nothing is downloaded or hashed.

        Raises:
            ModelError: it has no weights in a form that is read.
            DownloadError: they would have to be fetched, and `offline` or PCN_OFFLINE forbids it.
        """

    def bring(self, *, fetch: Fetcher) -> None:  # noqa: B027 - local files are here
        """Download the weights where they are not here, so that `load` finds them.

        Raises:
            ModelError: refused. DownloadError: not to be had. ResourceError: too little space, or not writable.
        """

    @abstractmethod
    def load(self, classes: tuple[str, ...], options: dict[str, Any], *, fetch: Fetcher) -> Loaded:
        """The network with its weights in training mode, and its facts; `options` are timm's.

        It knows its own classes, or `classes` where it has none.

        Raises:
            ModelError, DownloadError: there are no weights, they are damaged or do not fit, or cannot be fetched.
        """

    def sketch(self, num_classes: int, *, pooling: Pooling | None = None) -> AttentionNetwork:
        """The network without its weights, to measure its cost with; `pooling` is its own where it is None."""
        config = self.config()
        tokens = {} if pooling is None else {"class_tokens": pooling == "per-class"}
        return make_model(config.architecture, num_classes, _unmirrored(config) | tokens)

    def read(self, *, fetch: Fetcher) -> Loaded:
        """The trained network in evaluation mode, and its facts; refused as `load` refuses."""
        model, config = self.load((), {}, fetch=fetch)
        return model.eval(), config

    def read_teacher(self, *, fetch: Fetcher, size: int | None = None) -> tuple[nn.Module, Preprocessing]:
        """The trained network as it answers fastest, and how it wants its images, at `size` pixels if that is given."""
        from pcn_cli.models.fold_norms import fold_norms  # by way of timm

        network, preprocessing = self._read_classifier(fetch)
        height, width = size or preprocessing.height, size or preprocessing.width
        return fold_norms(network.eval()), replace(preprocessing, height=height, width=width)

    def start(self, classes: tuple[str, ...], recipe: Recipe, *, fetch: Fetcher) -> Loaded:
        """The network to start training from as the recipe says, with a head for `classes`, and its facts.

        The head is new (drawn from the recipe's seed) unless the source knows exactly these classes; then its rows are
        put into their order. What has no weights, and everything without `pretrained`, starts from random numbers.
        """
        wanted, data, options = recipe.model, recipe.data, training_options(recipe)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            if wanted.pretrained and self.has_weights:
                model, config = self.load(classes, options, fetch=fetch)
                if config.classes != classes:
                    change_classes(model, config.classes, classes)
            else:
                config = self.config()
                model = make_model(config.architecture, len(classes), config.model_args, **options)
            config = replace(config, classes=classes)
            if wanted.pooling:
                model, config = change_pooling(model, config, wanted.pooling, options)
        model.mirror = recipe.evaluate.mirror
        own = config.preprocessing
        preprocessing = replace(
            own,
            height=data.size or own.height,
            width=data.size or own.width,
            fit=data.fit or own.fit,
            crop_pct=data.crop_pct or own.crop_pct,
            draft=data.draft,
        )
        model.patch_grid = model.locate_patches(preprocessing.height, preprocessing.width)
        # What an earlier training calibrated says nothing of this one.
        return model, ModelConfig(
            architecture=config.architecture,
            model_args=_unmirrored(config) | ({"mirror": True} if model.mirror else {}),
            classes=classes,
            preprocessing=preprocessing,
            patch_grid=model.patch_grid,
            card=config.card,
            licence=config.licence,
        )

    def _read_classifier(self, fetch: Fetcher) -> tuple[nn.Module, Preprocessing]:
        network, config = self.read(fetch=fetch)
        return network, config.preprocessing


def training_options(recipe: Recipe) -> dict[str, float]:
    """What a network is built with to be trained as the recipe says, beside its own settings."""
    wanted = recipe.model
    return {"drop_rate": wanted.dropout} | ({"drop_path_rate": wanted.drop_path} if wanted.drop_path else {})


def _unmirrored(config: ModelConfig) -> dict[str, Any]:
    """The settings of a network but for `mirror`, which each recipe decides anew."""
    return {name: value for name, value in config.model_args.items() if name != "mirror"}


def rebuild(config: ModelConfig, recipe: Recipe) -> AttentionNetwork:
    """The network that `start` gave with these facts, but for its weights."""
    model = make_model(config.architecture, len(config.classes), config.model_args, **training_options(recipe))
    model.patch_grid = config.patch_grid
    return model
