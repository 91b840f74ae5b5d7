"""A card: published weights, fetched into the cache, or a network whose weights were never released."""

from typing import Any

from pcn_cli.errors import ModelError
from pcn_cli.models.build import fill_model, make_model, read_tensors
from pcn_cli.models.download import is_offline
from pcn_cli.models.sources.base import Loaded, Source, class_names
from pcn_cli.models.weights import Fetcher, check_cached, weights_path
from pcn_cli.models.zoo import Card
from pcn_cli.records.model import ModelConfig


class CardSource(Source):
    """The network and the weights of a card."""

    def __init__(self, card: Card) -> None:
        self.card, self.name, self.has_weights = card, card.name, card.url is not None

    def config(self) -> ModelConfig:
        """What the card says, by ImageNet's classes where there are 1000."""
        return ModelConfig(
            architecture=self.card.architecture,
            classes=class_names(self.card.network.num_classes),
            preprocessing=self.card.preprocessing,
            card=self.card.name,
            licence=self.card.licence,
        )

    def count_parameters(self) -> int:
        """Those of the card's network."""
        return self.card.parameters

    def download_bytes(self) -> int:
        """The least the published file can weigh, unless its weights are in the cache."""
        stored = weights_path(self.card.full_name).is_file()
        return 0 if stored or not self.has_weights else self.card.minimum_bytes

    def check_available(self, *, offline: bool) -> None:
        """Refuse what is not in the cache and may not be fetched."""
        if self.has_weights and (offline or is_offline()):
            check_cached(self.card)

    def load(self, classes: tuple[str, ...], options: dict[str, Any], *, fetch: Fetcher) -> Loaded:  # noqa: ARG002
        """The network with the card's weights and classes."""
        card = self.card
        if not self.has_weights:
            raise ModelError(f"{card.name} has no weights yet: {card.note}", f"pcn finetune PHOTOS --model {card.name}")
        path = fetch(card)
        tensors, found = card.network.recognise(read_tensors(path))
        if found != card.network:
            raise ModelError(f"{path} holds {found.name}, the card is {card.name}")
        config = self.config()
        model = make_model(config.architecture, len(config.classes), config.model_args, **options)
        fill_model(model, tensors, str(path))
        return model, config
