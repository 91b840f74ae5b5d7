"""The cache of weights: from a card or a `.pth` to verified safetensors, with a record of where they came from.

No checksum of the published files is known: the first arrival of each is recorded, and whatever differs later is
refused. A card may pin a hash instead. Nothing but safetensors stays:

<cache>/<full name of the card>.safetensors   float32, our parameter names
<cache>/<full name of the card>.json          its WeightRecord; it outlives the weights, so that a hash stays known
<cache>/sha256-<of the .pth>.safetensors      a file imported without a card
<cache>/<full name>.pth.part(.json)           a download that is not finished
<cache>/.<key>.converting/                    what is being made; after a kill the next one to make it removes it
"""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Protocol

from pcn_cli.errors import DownloadError, ModelError, RecipeError, command
from pcn_cli.files.atomic import explaining_refusal, sha256_of, sync, write_json
from pcn_cli.files.reading import read_json
from pcn_cli.models.build import WEIGHTS
from pcn_cli.models.cached import check_cached, record_path, weights_cache, weights_path, without_download
from pcn_cli.models.download import Download, Origin, Part, Patience, UnreachableError, elect_writer, is_offline
from pcn_cli.models.published import PatchConvNetSpec
from pcn_cli.models.unpickle import read_pth
from pcn_cli.models.zoo import Card
from pcn_cli.records.codec import from_plain, to_plain
from pcn_cli.records.model import WeightRecord
from pcn_cli.tensors.store import save_tensors

PATIENCE = Patience()
_STRAY_SECONDS = 86_400
OTHER_CACHE = "choose another place with PCN_CACHE=FOLDER"


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


class FetchCallback(Protocol):
    """What hears of a download."""

    def on_note(self, text: str) -> None:
        """A hash was recorded now."""

    def on_progress(self, title: str, done: int, total: int) -> None:
        """`done` of `total` bytes are here."""


@dataclass(frozen=True, kw_only=True)
class Fetcher:
    """Gets the weights of a card into the cache.

    `offline` opens no socket; `mirror` takes the place of the official address up to the file's name. PCN_OFFLINE and
    PCN_MIRROR do the same.
    """

    offline: bool = False
    mirror: str | None = None
    callback: FetchCallback | None = None

    def __call__(self, card: Card) -> Path:
        """The verified weight file of `card`, or the one inside the package; refused as `get` refuses."""
        if card.folder:
            return card.folder / WEIGHTS
        fetched = self.get(card)
        if fetched.note and self.callback:
            self.callback.on_note(fetched.note)
        return fetched.path

    def get(self, card: Card, *, compare: bool = False) -> Fetched:
        """The verified weights of `card`, and what it took to get them.

        With `compare` the server is asked even where the cache has them, and refused if its file is another one by now.

        Raises:
            ModelError: refused, damaged, or another hash than recorded; the cache is as it was.
            DownloadError: not to be had. ResourceError: too little space, or not writable.
        """
        if card.url is None:
            raise ModelError(f"there are no weights of {card.name}: {card.note}", "pcn models list")
        stored, offline = _open_stored(card.full_name), self.offline or is_offline()
        if stored and (offline or not compare):
            return stored
        if offline:
            check_cached(card)
        with elect_writer(weights_path(card.full_name)):
            _sweep(card.full_name)
            if not compare and (stored := _open_stored(card.full_name)):
                return stored  # another process was faster
            try:
                return self._download(card, stored)
            except DownloadError as error:
                error.hint = "; or ".join(filter(None, (error.hint, without_download(card))))
                raise

    def _download(self, card: Card, stored: Fetched | None) -> Fetched:
        url, least = self._address(card), card.minimum_bytes
        part, known = Part(weights_cache() / f"{card.full_name}.pth.part"), None
        if stored:  # what the server said of it, where it was this server
            same, record = stored.record.source == url, stored.record
            known = Origin(url=url, etag=record.etag if same else "", modified=record.modified if same else "")

        def on_bytes(done: int, total: int) -> None:
            if self.callback:
                self.callback.on_progress(f"downloading {card.name}", done, total)

        def on_note(text: str) -> None:
            if self.callback:
                self.callback.on_note(text)

        if not stored:
            here = f", of which {part.size / 1e6:,.0f} MB are here" if part.size else ""
            on_note(f"downloading {card.name} from {url}: at least {least / 1e6:,.0f} MB{here}")
        # Files that hold the optimizer's state beside the weights weigh about four times as much.
        most = 8 * least + 2**26
        download = Download(
            url=url,
            part=part,
            least=least,
            most=most,
            known=known,
            patience=PATIENCE,
            on_bytes=on_bytes,
            on_note=on_note,
        )
        try:
            origin = download.run()
        except UnreachableError as error:
            if stored:
                return replace(stored, note=f"nobody answered, kept what is here: {error}")
            raise
        if origin is None and stored:
            return stored
        try:
            digest = sha256_of(part.path)
            _refuse_other(card, digest, url)
            fetched = stored or _convert(part.path, card, card.full_name, digest, origin or Origin(url=url))
        except ModelError:
            part.discard()  # what was refused once would be refused again; after any other trouble it is still good
            raise
        part.discard()
        return replace(fetched, downloaded=True)

    def _address(self, card: Card) -> str:
        mirror = self.mirror or os.environ.get("PCN_MIRROR")
        if not mirror:
            return card.url or ""
        if not mirror.startswith(("http://", "https://")):
            raise RecipeError(f"--mirror {mirror}: expected an address that starts with https:// or http://")
        return f"{mirror.rstrip('/')}/{card.file}"


def _open_stored(key: str) -> Fetched | None:
    """The stored weights of `key`, their hash checked; None where they are not in the cache."""
    record, path = read_weight_record(key), weights_path(key)
    if record is None or not path.is_file():
        return None
    if (found := sha256_of(path)) != record.weights_sha256:
        raise ModelError(
            f"{path} is damaged: its sha256 is {found}, recorded was {record.weights_sha256}",
            f"remove {path}, then: pcn models get {record.card}" if record.card else f"remove {path}",
        )
    return Fetched(path=path, record=record)


def import_weights(path: Path, card: Card | None = None) -> Fetched:
    """The weights of a local `.pth`, converted once: as those of `card`, or under their own hash without one."""
    if not path.is_file():
        raise ModelError(f"there is no file {path}")
    digest = sha256_of(path)
    key = card.full_name if card else f"sha256-{digest}"
    with elect_writer(weights_path(key)):
        _sweep(key)
        if card:
            _refuse_other(card, digest, str(path))
        return _open_stored(key) or _convert(path, card, key, digest, Origin(url=str(path.resolve())))


def verify_weights(card: Card) -> Verified:
    """Whether the stored weights of `card` still are what was recorded."""
    if card.folder:
        path, expected = card.folder / WEIGHTS, card.sha256 or ""
    else:
        path, record = weights_path(card.full_name), read_weight_record(card.full_name)
        if record is None or not path.is_file():
            return Verified(state="not in the cache", path=path)
        expected = record.weights_sha256
    found = sha256_of(path)
    return Verified(state="verified" if found == expected else "damaged", path=path, expected=expected, found=found)


def _convert(path: Path, card: Card | None, key: str, digest: str, origin: Origin) -> Fetched:
    """The weights of the `.pth` at `path` (whose hash is `digest`) in the cache, their record last."""
    first_use = read_weight_record(key) is None and not (card and card.sha256)
    target = weights_path(key)
    with _making(key) as folder, explaining_refusal(target, elsewhere=OTHER_CACHE):
        tensors, network = (card.network if card else PatchConvNetSpec).recognise(read_pth(path, scratch=folder))
        if card and network != card.network:
            classes = "" if network.num_classes == card.network.num_classes else f" with {network.num_classes} classes"
            raise ModelError(
                f"this file holds {_title(network.name)}{classes}, the card is {_title(card.network.name)}",
                f"pcn models list, or import it without a card: {command('models', 'import', path)}",
            )
        dense = {name: tensor.contiguous() for name, tensor in tensors.items()}
        made, described = folder / target.name, folder / record_path(key).name
        save_tensors(made, dense, metadata={"format": "pt"}, elsewhere=OTHER_CACHE)
        record = WeightRecord(
            card=card.full_name if card else "",
            network=network.name,
            num_classes=network.num_classes,
            source=origin.url,
            source_sha256=digest,
            source_bytes=path.stat().st_size,
            weights_sha256=sha256_of(made),
            recorded=datetime.now(UTC).isoformat(timespec="seconds"),
            etag=origin.etag,
            modified=origin.modified,
        )
        write_json(described, to_plain(record))
        made.replace(target)
        described.replace(record_path(key))
        sync(target.parent)
    name = card.file if card else path.name
    note = f"first use of {name}: no checksum is published, recorded sha256 {digest}" if first_use else ""
    return Fetched(path=target, record=record, first_use=first_use, note=note)


@contextmanager
def _making(key: str) -> Iterator[Path]:
    """A folder for what is being made of `key`, whose writer we are; it is gone when the block ends."""
    folder = weights_cache() / f".{key}.converting"
    with explaining_refusal(folder, elsewhere=OTHER_CACHE):
        folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(key: str) -> None:
    """Remove what writers of `key` that were killed left behind, and what older versions of pcn did a day ago."""
    shutil.rmtree(weights_cache() / f".{key}.converting", ignore_errors=True)
    for part in weights_cache().glob(".*.part.*"):
        with suppress(OSError):
            if time.time() - part.stat().st_mtime > _STRAY_SECONDS:
                part.unlink()


def _title(name: str) -> str:
    return f"a network of {name}" if " " in name else name[0].upper() + name[1:]


def _refuse_other(card: Card, digest: str, source: str) -> None:
    """Refuse a file whose hash is not the one that was recorded or pinned."""
    record = read_weight_record(card.full_name)
    expected = card.sha256 or (record.source_sha256 if record else None)
    if expected and digest != expected:
        raise ModelError(
            f"{source} is refused and nothing replaced: its sha256 is {digest}, "
            f"{'pinned' if card.sha256 else 'recorded'} for {card.name} is {expected}",
            f"if the published file really changed, remove {record_path(card.full_name)} and try again",
        )


def read_weight_record(key: str) -> WeightRecord | None:
    """What is known of the weights of `key`, also once they are gone; None where they were never here."""
    path = record_path(key)
    if not path.is_file():
        return None
    try:
        return from_plain(WeightRecord, read_json(path, most=2**20))
    except (ValueError, AttributeError, OSError) as error:
        raise ModelError(f"{path} is damaged: {error}", f"remove {path} if you do not need its hashes") from error
