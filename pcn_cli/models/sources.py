"""PatchConvNets that a person names: a card, a model folder or a weight file, whose tensors tell what it holds."""

import math
from pathlib import Path
from typing import Any, Protocol

from safetensors import SafetensorError, safe_open
from timm.data import ImageNetInfo
from torch import nn

from pcn_cli.errors import ModelError
from pcn_cli.models.entry_points import SIZES
from pcn_cli.models.folder import CONFIG, fill_model, make_model, read_tensors
from pcn_cli.models.published import Architecture, from_published, is_published, tell_architecture, to_published
from pcn_cli.models.store import read_published
from pcn_cli.models.weights import import_weights, weights_cache
from pcn_cli.models.zoo import Card, find_card
from pcn_cli.records.model import ModelConfig, Preprocessing


class Fetch(Protocol):
    """Gets the weight file of a card; `offline` forbids the network, for backbones of timm too."""

    @property
    def offline(self) -> bool:
        """Whether nothing may be downloaded."""

    def __call__(self, card: Card, /) -> Path:
        """The verified weight file of `card`."""


def find_source(source: str) -> Card | Path:
    """The card, model folder (of a run, too) or weight file of that name; a card's name comes before a file's.

    A card whose weights come inside the package is its model folder.

    Raises:
        ModelError: there is none.
    """
    path = Path(source).expanduser()
    try:
        card = find_card(source)
    except ModelError as error:
        if (path / "model" / CONFIG).is_file():
            return path / "model"
        if path.is_dir() or path.is_file():
            return path
        if path.suffix in (".pth", ".pt", ".safetensors") or len(path.parts) > 1:
            raise ModelError(f"there is no file or folder {source}", error.hint) from error
        raise
    return card.folder or card


def read_weights(found: Card | Path, fetch: Fetch, options: dict[str, Any]) -> tuple[nn.Module, ModelConfig]:
    """The network that a card's weights or a file make up, in training mode; the tensors tell which it is.

    Raises:
        ModelError: the file is refused, damaged, or no PatchConvNet; or not the card's.
    """
    path = fetch(found) if isinstance(found, Card) else found
    if path.suffix in (".pth", ".pt"):
        path = import_weights(path, cache=weights_cache()).path
    tensors = read_tensors(path)
    if any(name.startswith("backbone.") for name in tensors):
        raise ModelError(f"{path} belongs to a model folder", f"name the folder: {path.parent}")
    tensors = from_published(tensors) if is_published(tensors) else tensors
    told = tell_architecture({name: tuple(tensor.shape) for name, tensor in to_published(tensors).items()})
    if isinstance(found, Card) and told != found.network:
        raise ModelError(f"{path} holds {told.name}, the card is {found.name}")
    architecture, arguments = timm_name(told)
    model = make_model(architecture, told.num_classes, arguments, **options)
    fill_model(model, tensors, str(path))
    if isinstance(found, Card):
        return model, card_config(found)
    return model, file_config(architecture, arguments, class_names(told.num_classes))


def tell_file(path: Path) -> Architecture:
    """The network whose weights a file holds, told by its tensors; nothing is converted or kept.

    Raises:
        ModelError: the file is refused, damaged, or no PatchConvNet.
    """
    if path.suffix in (".pth", ".pt"):
        return read_published(path, None)[1]
    tensors = read_tensors(path)
    published = tensors if is_published(tensors) else to_published(tensors)
    return tell_architecture({name: tuple(tensor.shape) for name, tensor in published.items()})


def timm_name(told: Architecture) -> tuple[str, dict[str, Any]]:
    """The architecture in timm, and its settings where it has no name of its own."""
    name = "patchconvnet_" + told.name.replace("-", "_")
    if name in SIZES:
        return name, {}
    return "patchconvnet", {"embed_dim": told.embed_dim, "depth": told.depth, "class_tokens": told.class_tokens}


def card_config(card: Card) -> ModelConfig:
    """The facts of a card's network, by ImageNet's classes."""
    return ModelConfig(
        architecture=card.architecture,
        classes=class_names(card.num_classes),
        preprocessing=card_preprocessing(card),
        card=card.name,
        licence=card.licence,
    )


def file_config(architecture: str, arguments: dict[str, Any], classes: tuple[str, ...]) -> ModelConfig:
    """The facts of a bare weight file's network."""
    return ModelConfig(
        architecture=architecture,
        model_args=arguments,
        classes=classes,
        preprocessing=Preprocessing(height=224, width=224),
    )


def class_names(count: int) -> tuple[str, ...]:
    """The classes of weights that carry no names: those of ImageNet where there are 1000, else numbers."""
    if count != 1000:
        return tuple(f"class {i}" for i in range(count))
    info = ImageNetInfo()
    words = [info.index_to_description(i).split(", ")[0] for i in range(count)]
    # Two cranes, two maillots …: where the first word is not enough, the synset tells them apart.
    return tuple(
        f"{word} ({info.index_to_label_name(i)})" if words.count(word) > 1 else word for i, word in enumerate(words)
    )


def card_preprocessing(card: Card) -> Preprocessing:
    """How a card's network wants its photos."""
    return Preprocessing(
        height=card.input_size,
        width=card.input_size,
        crop_pct=card.crop_pct,
        interpolation=card.interpolation,
        mean=card.mean,
        std=card.std,
    )


def count_parameters(path: Path) -> int:
    """How many numbers a weight file holds, by its header; for a `.pth` by its size."""
    if path.suffix != ".safetensors":
        return path.stat().st_size // 4
    try:
        with safe_open(path, framework="pt") as file:
            return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} is damaged: {error}") from error
