"""Weight files without a config: the published one of a card, and a local `.pth`, `.pt` or `.safetensors`.

The tensors of a local file tell which PatchConvNet it is.
"""

from functools import cache
from pathlib import Path
from typing import Any

from torch import Tensor

from pcn_cli.errors import ModelError
from pcn_cli.models.build import count_stored, fill_model, make_model, read_tensors
from pcn_cli.models.cached import check_cached, weights_path
from pcn_cli.models.download import is_offline
from pcn_cli.models.published import PatchConvNetSpec
from pcn_cli.models.reproduction import prepare_photos
from pcn_cli.models.sources.base import Loaded, Source
from pcn_cli.models.unpickle import read_pth
from pcn_cli.models.weights import Fetcher, import_weights
from pcn_cli.models.zoo import Card
from pcn_cli.records.model import ModelConfig, Preprocessing


class CardSource(Source):
    """A card: weights fetched into the cache, or a network whose weights were never released."""

    def __init__(self, card: Card) -> None:
        self.card, self.name, self.has_weights = card, card.name, card.url is not None

    def config(self) -> ModelConfig:
        return ModelConfig(
            architecture=self.card.network.architecture,
            classes=class_names(self.card.network.num_classes),
            preprocessing=prepare_photos(self.card),
            card=self.card.name,
            licence=self.card.licence,
        )

    @property
    def parameters(self) -> int:
        return self.card.parameters

    @property
    def download_bytes(self) -> int:
        """The least that the published file can weigh; 0 where its weights are in the cache."""
        stored = weights_path(self.card.full_name).is_file()
        return 0 if stored or not self.has_weights else self.card.minimum_bytes

    def check_available(self, *, offline: bool) -> None:
        if self.has_weights and (offline or is_offline()):
            check_cached(self.card)

    def bring(self, *, fetch: Fetcher) -> None:
        if self.has_weights:
            fetch(self.card)

    def load(self, classes: tuple[str, ...], options: dict[str, Any], *, fetch: Fetcher) -> Loaded:  # noqa: ARG002
        card = self.card
        if not self.has_weights:
            raise ModelError(f"{card.name} has no weights yet: {card.note}", f"pcn finetune PHOTOS --model {card.name}")
        path = fetch(card)
        tensors, found = card.network.recognise(read_tensors(path))
        if found != card.network:
            raise ModelError(f"{path} holds {found.name}, the card is {card.name}")
        return _fill(self.config(), tensors, path, options)


class FileSource(Source):
    """The PatchConvNet whose weights a file holds."""

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, path.stem
        self._pickled = path.suffix in (".pth", ".pt")

    def config(self) -> ModelConfig:
        """What the tensors tell; nothing is converted or kept."""
        if self._pickled:
            return _config(PatchConvNetSpec.recognise(read_pth(self.path))[1])
        return _config(_recognise(self.path)[1])

    @property
    def parameters(self) -> int:
        """By the file's header; for a `.pth` by its size."""
        return self.path.stat().st_size // 4 if self._pickled else count_stored(self.path)

    def load(self, classes: tuple[str, ...], options: dict[str, Any], *, fetch: Fetcher) -> Loaded:  # noqa: ARG002
        """The network with the file's weights; a `.pth` is converted into the cache once."""
        path = import_weights(self.path).path if self._pickled else self.path
        tensors, spec = _recognise(path)
        return _fill(_config(spec), tensors, path, options)


def _recognise(path: Path) -> tuple[dict[str, Tensor], PatchConvNetSpec]:
    tensors = read_tensors(path)
    if any(name.startswith("backbone.") for name in tensors):
        raise ModelError(f"{path} belongs to a model folder", f"name the folder: {path.parent}")
    return PatchConvNetSpec.recognise(tensors)


def _config(spec: PatchConvNetSpec) -> ModelConfig:
    return ModelConfig(
        architecture=spec.architecture,
        model_args={} if spec.size else spec.settings,
        classes=class_names(spec.num_classes),
        preprocessing=Preprocessing(height=224, width=224),
    )


def _fill(config: ModelConfig, tensors: dict[str, Tensor], path: Path, options: dict[str, Any]) -> Loaded:
    model = make_model(config.architecture, len(config.classes), config.model_args, **options)
    fill_model(model, tensors, str(path))
    return model, config


@cache
def class_names(count: int) -> tuple[str, ...]:
    """The classes of weights that carry no names: those of ImageNet where there are 1000, else numbers."""
    if count != 1000:
        return tuple(f"class {i}" for i in range(count))
    from timm.data import ImageNetInfo

    info = ImageNetInfo()
    words = [info.index_to_description(i).split(", ")[0] for i in range(count)]
    # Two cranes, two maillots …: where the first word is not enough, the synset tells them apart.
    return tuple(
        f"{word} ({info.index_to_label_name(i)})" if words.count(word) > 1 else word for i, word in enumerate(words)
    )
