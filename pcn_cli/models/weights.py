"""From a card or a `.pth` to verified safetensors in the cache.

No checksum of the published files is known: the first arrival of each is recorded, and whatever differs later is
refused. A card may pin a hash instead. Nothing but safetensors stays in the cache.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pcn_cli.errors import DownloadError, ModelError, RecipeError
from pcn_cli.files.hashing import sha256_of
from pcn_cli.files.parts import Origin, Part, elect_writer
from pcn_cli.models.build import WEIGHTS
from pcn_cli.models.download import Patience, UnreachableError, Wanted, download
from pcn_cli.models.opener import is_offline
from pcn_cli.models.store import Stored, open_stored, read_record, record_path, store, weights_cache, weights_path
from pcn_cli.models.zoo import Card
from pcn_cli.records.model import WeightRecord

__all__ = [
    "Fetched",
    "Verified",
    "check_cached",
    "fetch_weights",
    "get_weights",
    "import_weights",
    "verify_weights",
    "weights_cache",
]


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """Weights in the cache, and what it took: `first_use` says that their hash is now recorded for the first time."""

    path: Path
    record: WeightRecord
    first_use: bool = False
    downloaded: bool = False
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What a check of stored weights found; the hashes are empty where there is nothing."""

    state: Literal["verified", "not in the cache", "damaged"]
    path: Path
    expected: str = ""
    found: str = ""


def fetch_weights(
    card: Card,
    *,
    cache: Path,
    offline: bool = False,
    mirror: str | None = None,
    on_bytes: Callable[[int, int], None] | None = None,
    on_note: Callable[[str], None] | None = None,
) -> Path:
    """The safetensors of `card`: verified, downloaded where the cache has none, or those inside the package.

    `on_note` hears of a hash recorded now.

    Raises:
        ModelError, DownloadError, ResourceError: as `get_weights`.
    """
    if card.folder:
        return card.folder / WEIGHTS
    fetched = get_weights(card, cache=cache, offline=offline, mirror=mirror, on_bytes=on_bytes)
    if fetched.note and on_note:
        on_note(fetched.note)
    return fetched.path


def get_weights(
    card: Card,
    *,
    cache: Path,
    offline: bool = False,
    mirror: str | None = None,
    on_bytes: Callable[[int, int], None] | None = None,
    compare: bool = False,
    patience: Patience | None = None,
) -> Fetched:
    """The verified weights of `card`, and what it took to get them.

    Args:
        offline: open no socket; PCN_OFFLINE does the same.
        mirror: an address that takes the place of the official one, up to the file's name; PCN_MIRROR does the same.
        on_bytes: called with the bytes so far and the bytes in all.
        compare: ask the server even where the cache has them, and refuse if its file is another one by now.

    Raises:
        ModelError: refused, damaged, or another hash than recorded; the cache is as it was.
        DownloadError: not to be had. ResourceError: too little space, or not writable.
    """
    if card.url is None:
        raise ModelError(f"there are no weights of {card.name}: {card.note}", "pcn models list")
    offline = offline or is_offline()
    stored = open_stored(cache, card.full_name)
    if stored and (offline or not compare):
        return Fetched(path=stored.path, record=stored.record)
    if offline:
        check_cached(card, cache)
    with elect_writer(weights_path(cache, card.full_name)):
        if not compare and (stored := open_stored(cache, card.full_name)):
            return Fetched(path=stored.path, record=stored.record)  # another process was faster
        return _download(card, stored, cache, _address(card, mirror), on_bytes, patience or Patience())


def check_cached(card: Card, cache: Path) -> None:
    """Nothing, if the cache holds weights of `card`; their hash is not checked.

    Raises:
        DownloadError: it does not; the message says how to bring them there.
    """
    path = weights_path(cache, card.full_name)
    if not (path.is_file() and record_path(cache, card.full_name).is_file()):
        raise DownloadError(
            f"offline, and {card.file} is not in the cache: looked for {path}",
            f"fetch {card.url} elsewhere, then: pcn models import {card.file} {card.name}",
        )


def import_weights(path: Path, *, cache: Path, card: Card | None = None) -> Fetched:
    """The weights of a local `.pth`, converted once: as those of `card`, or under their own hash where none is given.

    Raises:
        ModelError: no such file, refused, does not fit the card, or another hash than recorded for it.
    """
    if not path.is_file():
        raise ModelError(f"there is no file {path}")
    digest = sha256_of(path)
    key = card.full_name if card else f"sha256-{digest}"
    with elect_writer(weights_path(cache, key)):
        _refuse_other(card, cache, digest, str(path))
        if stored := open_stored(cache, key):
            return Fetched(path=stored.path, record=stored.record)
        return _convert(path, card, cache, key, digest, Origin(url=str(path.resolve())))


def verify_weights(card: Card, cache: Path) -> Verified:
    """Whether the stored weights of `card` still are what was recorded."""
    if card.folder:
        return _compare(card.folder / WEIGHTS, card.sha256 or "")
    path, record = weights_path(cache, card.full_name), read_record(cache, card.full_name)
    if record is None or not path.is_file():
        return Verified(state="not in the cache", path=path)
    return _compare(path, record.weights_sha256)


def _compare(path: Path, expected: str) -> Verified:
    found = sha256_of(path)
    return Verified(state="verified" if found == expected else "damaged", path=path, expected=expected, found=found)


def _address(card: Card, mirror: str | None) -> str:
    mirror = mirror or os.environ.get("PCN_MIRROR")
    if not mirror:
        return card.url or ""
    if not mirror.startswith(("http://", "https://")):
        raise RecipeError(f"--mirror {mirror}: expected an address that starts with https:// or http://")
    return f"{mirror.rstrip('/')}/{card.file}"


def _download(
    card: Card,
    stored: Stored | None,
    cache: Path,
    url: str,
    on_bytes: Callable[[int, int], None] | None,
    patience: Patience,
) -> Fetched:
    part = Part(cache / f"{card.full_name}.pth.part")
    # Files that hold the optimizer's state beside the weights weigh about four times as much.
    wanted = Wanted(url=url, least=card.minimum_bytes, most=8 * card.minimum_bytes + 2**26, beside=card.minimum_bytes)
    try:
        origin = download(wanted, part, patience=patience, on_bytes=on_bytes, known=_known(stored, url))
    except UnreachableError as error:
        if stored:
            return Fetched(path=stored.path, record=stored.record, note=f"nobody answered, kept what is here: {error}")
        raise
    if origin is None and stored:
        return Fetched(path=stored.path, record=stored.record)
    try:
        digest = sha256_of(part.path)
        _refuse_other(card, cache, digest, url)
        held = Fetched(path=stored.path, record=stored.record) if stored else None
        fetched = held or _convert(part.path, card, cache, card.full_name, digest, origin or Origin(url=url))
    except ModelError:
        part.discard()  # what was refused once would be refused again; after any other trouble it is still good
        raise
    part.discard()
    return replace(fetched, downloaded=True)


def _known(stored: Stored | None, url: str) -> Origin | None:
    if stored is None:
        return None
    record = stored.record
    same = record.source == url
    return Origin(url=url, etag=record.etag if same else "", modified=record.modified if same else "")


def _refuse_other(card: Card | None, cache: Path, digest: str, source: str) -> None:
    if card is None:
        return
    record = read_record(cache, card.full_name)
    expected = card.sha256 or (record.source_sha256 if record else None)
    if expected and digest != expected:
        raise ModelError(
            f"{source} is refused and nothing replaced: its sha256 is {digest}, "
            f"{'pinned' if card.sha256 else 'recorded'} for {card.name} is {expected}",
            f"if the published file really changed, remove {record_path(cache, card.full_name)} and try again",
        )


def _convert(path: Path, card: Card | None, cache: Path, key: str, digest: str, origin: Origin) -> Fetched:
    first_use = read_record(cache, key) is None and not (card and card.sha256)
    stored = store(path, card, cache=cache, key=key, sha256=digest, origin=origin)
    name = card.file if card else path.name
    note = f"first use of {name}: no checksum is published, recorded sha256 {digest}" if first_use else ""
    return Fetched(path=stored.path, record=stored.record, first_use=first_use, note=note)
