"""What `pcn models` does: cards and the weights in the cache, as plain values."""

from pathlib import Path
from typing import Any

from pcn_cli.errors import ModelError, RecipeError, command
from pcn_cli.models.build import CONFIG
from pcn_cli.models.reproduction import prepare_photos, read_reproduction
from pcn_cli.models.weights import Fetched, Fetcher, Verified, verify_weights
from pcn_cli.models.weights import import_weights as convert
from pcn_cli.models.zoo import CARDS, Card, card_of_file, find_card, look_up_card
from pcn_cli.recipe.arguments import checked
from pcn_cli.records.codec import to_plain
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.state import check_model, photo_root, require
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.inference.replay import replay_model


def list_models() -> list[dict[str, Any]]:
    """The facts of every card, in the order of `CARDS`."""
    return [describe(card) for card in CARDS]


@checked
def describe_model(name: str) -> dict[str, Any]:
    """The facts of one card, and of its weights in the cache."""
    card = find_card(name)
    return describe(card) | {"cache": _plain(verify_weights(card))}


@checked
def get_model(
    name: str, *, offline: bool = False, mirror: str | None = None, callback: Callback | None = None
) -> dict[str, Any]:
    """The weights of a card in the cache, fetched or compared with what the server has; what happened, as plain values.

    Raises:
        ModelError: unknown, refused or damaged. DownloadError: not to be had. ResourceError: no space.
    """
    card = find_card(name)
    if card.folder:
        note = f"{card.name} comes inside pcn; nothing to download"
        return {"name": card.name, "path": str(card.folder), "note": note}
    fetched = Fetcher(offline=offline, mirror=mirror, callback=callback).get(card, compare=True)
    return {"name": card.name, **_plain(fetched)}


@checked
def import_model(path: Path, name: str | None = None) -> dict[str, Any]:
    """A local `.pth` in the cache: as the weights of that card, or of the card whose published file has this name."""
    card = find_card(name) if name else card_of_file(path.name)
    return {"name": card.name if card else None, **_plain(convert(path, card))}


@checked
def verify_models(names: list[str], *, images: str | Path | None = None) -> list[dict[str, Any]]:
    """Whether models still are what was recorded: cards in the cache by their hash, runs and model folders by a replay.

    Without `names` all that are in the cache. A run's photos are looked for in its own photo folder, or in `images`.

    Raises:
        ModelError: there is no such model, or it keeps nothing to replay. DataError: `images` is no folder.
        RecipeError: `images` is given, and no run or model folder.
    """
    if images is not None and not any(map(_is_folder, names)):
        hint = "pcn models verify RUN --images DIR"
        raise RecipeError("--images has no effect without a run or a model folder", hint)
    if names:
        looked = None if images is None else Path(images)
        return [_verify_folder(Path(name), looked) if _is_folder(name) else _verify(find_card(name)) for name in names]
    checks = [_verify(card) for card in CARDS if card.url or card.bundled]
    return [check for check in checks if check["state"] != "not in the cache"]


def refuse_damaged(checks: list[dict[str, Any]]) -> None:
    """Raise a ModelError for the first damaged file, naming both hashes."""
    for check in checks:
        if check.get("problem"):
            raise ModelError(
                f"{check['path']} does not prove itself: {check['problem']}",
                "bring its files back from a copy, or train again",
            )
        if check["state"] == "damaged":
            raise ModelError(
                f"{check['path']} is damaged: its sha256 is {check['found']}, recorded was {check['expected']}",
                f"remove {check['path']}, then: {command('models', 'get', check['name'])}",
            )


def describe(card: Card) -> dict[str, Any]:
    """The facts of a card as plain values."""
    own = ("url", "sha256", "bundled", "top1", "licence", "paper", "note", "parameters", "minimum_bytes")
    preprocessing = to_plain(prepare_photos(card))
    return {
        "name": card.name,
        "full_name": card.full_name,
        "architecture": card.network.architecture,
        "tag": card.tag,
        **card.network.settings,
        "class_tokens": card.network.settings.get("class_tokens", False),
        "num_classes": card.network.num_classes,
        "input_size": card.input_size,
        **{key: preprocessing[key] for key in ("crop_pct", "interpolation", "mean", "std")},
        "imagenet": to_plain(read_reproduction(card)),
        "aliases": list(card.aliases),
        **{key: getattr(card, key) for key in own},
    }


def _is_folder(name: str) -> bool:
    """Whether `name` is a run or a model folder; the name of a card comes before a folder's."""
    path = Path(name)
    return look_up_card(name) is None and ((path / "run.json").is_file() or (path / CONFIG).is_file())


def _verify(card: Card) -> dict[str, Any]:
    return {"name": card.name, **_plain(verify_weights(card))}


def _verify_folder(path: Path, images: Path | None) -> dict[str, Any]:
    run = RunDir(path) if (path / "run.json").is_file() else None
    folder = require(run, run.model, f"finish it with {command('finetune', '--resume', path)}") if run else path
    if run and images is None and (own := photo_root(run)).is_dir():
        images = own
    replayed = replay_model(folder, images=images)
    problem = replayed.problem
    if run and not problem:
        try:
            check_model(run)
        except ModelError as error:
            problem = error.message
    state = "damaged" if problem else "verified"
    return {"name": str(path), "state": state, "path": str(folder), **to_plain(replayed), "problem": problem}


def _plain(found: Fetched | Verified) -> dict[str, Any]:
    """What was found, with the facts of its record beside the others."""
    plain: dict[str, Any] = to_plain(found) | {"path": str(found.path)}
    record: dict[str, Any] = plain.pop("record", {})
    return plain | record
