"""Whether weights are in the caches, told without torch or timm: what is missing offline is said at once."""

from pathlib import Path

from pcn_cli.errors import DownloadError, command
from pcn_cli.files.folder import cache_folder
from pcn_cli.models.zoo import Card, look_up_card

BUNDLED = "--model nano, which is inside pcn"
_STORED = "model.safetensors"
_TIMM, _HUB = "timm:", "hf:"


def refuse_missing(name: str) -> None:
    """Raise a DownloadError where `name` is a card, hf:USER/NAME or timm:NAME whose weights are not here.

    Of a backbone timm alone knows the repository: what may be its own passes.
    """
    card = look_up_card(name)
    if card is not None:
        if card.url:
            check_cached(card)
    elif name.startswith(_HUB):
        repository = name.removeprefix(_HUB).partition("@")[0]
        if not _stored_in(repository.replace("/", "--")):
            raise missing_on_hub(name)
    elif name.startswith(_TIMM) and ":" not in name.removeprefix(_TIMM):
        network = name.removeprefix(_TIMM).partition(".")[0]
        if not any(_may_be(network, place) for place in _stored_in("*")):
            raise missing_backbone(name.removeprefix(_TIMM))


def missing_on_hub(name: str) -> DownloadError:
    """The error of a model folder on the hub that is not in its cache."""
    download = f"hf download {name.removeprefix(_HUB).partition('@')[0]}"
    return DownloadError(f"offline, and {name} is not in the cache of the hub", f"{download}; or {BUNDLED}")


def missing_backbone(name: str) -> DownloadError:
    """The error of a backbone whose weights are not in the cache of the hub."""
    return DownloadError(
        f"offline: the weights of {_TIMM}{name} would have to be fetched",
        f"name a file or a folder: {_TIMM}{name}:FILE.safetensors, {_TIMM}local-dir:FOLDER; or {BUNDLED}",
    )


def _stored_in(repository: str) -> list[str]:
    """The names (owner--name) of repositories that match and have weights in the cache of the hub."""
    from huggingface_hub.constants import HF_HUB_CACHE

    found = Path(HF_HUB_CACHE).glob(f"models--{repository}/snapshots/*/{_STORED}")
    return [path.parents[2].name.removeprefix("models--") for path in found]


def _may_be(network: str, repository: str) -> bool:
    owner, _, name = repository.partition("--")
    return owner != "timm" or name.startswith(network)


def weights_cache() -> Path:
    """The folder of stored weights: below PCN_CACHE where it is set, otherwise where the system keeps caches."""
    return cache_folder("weights")


def weights_path(key: str) -> Path:
    """Where the safetensors of `key` stands."""
    return weights_cache() / f"{key}.safetensors"


def record_path(key: str) -> Path:
    """Where the record of the weights of `key` stands."""
    return weights_cache() / f"{key}.json"


def check_cached(card: Card) -> None:
    """Raise a DownloadError that says how to bring weights into the cache that are not there; no hash is checked."""
    path = weights_path(card.full_name)
    if not (path.is_file() and record_path(card.full_name).is_file()):
        raise DownloadError(
            f"offline, and {card.file} is not in the cache: looked for {path}",
            without_download(card),
        )


def without_download(card: Card) -> str:
    """How to go on where the weights of `card` cannot be fetched."""
    elsewhere = f"fetch {card.url} elsewhere, then: {command('models', 'import', card.file, card.name)}"
    return f"{elsewhere}; or {BUNDLED}"
