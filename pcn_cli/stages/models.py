"""What `pcn models` does: cards and the weights in the cache, as plain values."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from pcn_cli.errors import ModelError
from pcn_cli.models.weights import Fetched, get_weights, verify_weights, weights_cache
from pcn_cli.models.weights import import_weights as convert
from pcn_cli.models.zoo import CARDS, Card, card_of_file, find_card
from pcn_cli.records.codec import to_plain
from pcn_cli.stages.listener import Listener


def list_models() -> list[dict[str, Any]]:
    """The facts of every card, in the order of the shelf."""
    return [describe(card) for card in CARDS]


def describe_model(name: str) -> dict[str, Any]:
    """The facts of one card, and of its weights in the cache.

    Raises:
        ModelError: there is no such card.
    """
    card = find_card(name)
    return {**describe(card), "cache": _check(card)}


def get_model(
    name: str, *, offline: bool = False, mirror: str | None = None, listener: Listener | None = None
) -> dict[str, Any]:
    """The weights of a card in the cache, fetched or compared with what the server has; what happened, as plain values.

    Raises:
        ModelError: unknown, refused or damaged. DownloadError: not to be had. ResourceError: no space.
    """
    card, hears = find_card(name), listener or Listener()
    if card.folder:
        return {
            "name": card.name,
            "path": str(card.folder),
            "note": f"{card.name} comes inside pcn; nothing to download",
        }
    fetched = get_weights(
        card,
        cache=weights_cache(),
        offline=offline,
        mirror=mirror,
        on_bytes=lambda done, total: hears.on_progress(f"downloading {card.name}", done, total),
        compare=True,
    )
    return {"name": card.name, **_plain(fetched)}


def import_model(path: Path, name: str | None = None) -> dict[str, Any]:
    """A local `.pth` in the cache: as the weights of that card, or of the card whose published file has this name.

    Raises:
        ModelError: unknown card, refused, or does not fit.
    """
    card = find_card(name) if name else card_of_file(path.name)
    return {"name": card.name if card else None, **_plain(convert(path, cache=weights_cache(), card=card))}


def verify_models(names: list[str]) -> list[dict[str, Any]]:
    """Whether stored weights still are what was recorded: of these cards, or of all that are in the cache.

    Raises:
        ModelError: there is no such card.
    """
    cards = [find_card(name) for name in names] if names else [card for card in CARDS if card.url or card.bundled]
    checks = [{"name": card.name, **_check(card)} for card in cards]
    return [check for check in checks if names or check["state"] != "not in the cache"]


def refuse_damaged(checks: list[dict[str, Any]]) -> None:
    """Raise a ModelError for the first damaged file, naming both hashes."""
    for check in checks:
        if check["state"] == "damaged":
            raise ModelError(
                f"{check['path']} is damaged: its sha256 is {check['found']}, recorded was {check['expected']}",
                f"remove {check['path']}, then: pcn models get {check['name']}",
            )


def describe(card: Card) -> dict[str, Any]:
    """The facts of a card as plain values."""
    facts = asdict(card)
    facts |= {"mean": list(card.mean), "std": list(card.std), "aliases": list(card.aliases)}
    return {
        "name": card.name,
        "full_name": card.full_name,
        **facts,
        "parameters": card.parameters,
        "minimum_bytes": card.minimum_bytes,
    }


def _check(card: Card) -> dict[str, Any]:
    return {key: str(value) for key, value in asdict(verify_weights(card, weights_cache())).items()}


def _plain(fetched: Fetched) -> dict[str, Any]:
    return {
        "path": str(fetched.path),
        "first_use": fetched.first_use,
        "downloaded": fetched.downloaded,
        "note": fetched.note,
        **to_plain(fetched.record),
    }
