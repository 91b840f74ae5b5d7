"""The cache of weights: for every file one safetensors, and beside it a record that says where it came from.

<cache>/<full name of the card>.safetensors   float32, our parameter names
<cache>/<full name of the card>.json          its WeightRecord
<cache>/sha256-<of the .pth>.safetensors      a file imported without a card
<cache>/<full name>.pth.part(.json)           a download that is not finished
"""

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import platformdirs
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from pcn_cli.errors import ModelError, ResourceError
from pcn_cli.files.atomic import write_json, write_with
from pcn_cli.files.hashing import sha256_of
from pcn_cli.files.parts import Origin
from pcn_cli.models.published import PatchConvNetSpec
from pcn_cli.models.unpickle import read_pth
from pcn_cli.models.zoo import Card, NetworkSpec
from pcn_cli.records.codec import from_plain, to_plain
from pcn_cli.records.model import WeightRecord


@dataclass(frozen=True, kw_only=True)
class Stored:
    """Weights in the cache: the safetensors file and its record."""

    path: Path
    record: WeightRecord


def weights_cache() -> Path:
    """The folder of stored weights: below PCN_CACHE where it is set, otherwise where the system keeps caches."""
    root = os.environ.get("PCN_CACHE")
    return (Path(root) if root else platformdirs.user_cache_path("pcn", appauthor=False)) / "weights"


def weights_path(cache: Path, key: str) -> Path:
    """Where the safetensors of `key` stands."""
    return cache / f"{key}.safetensors"


def record_path(cache: Path, key: str) -> Path:
    """Where the record of `key` stands."""
    return cache / f"{key}.json"


def read_record(cache: Path, key: str) -> WeightRecord | None:
    """What is recorded of `key`; None where nothing is. It outlives the weights, so that a hash once seen stays known.

    Raises:
        ModelError: the record is damaged.
    """
    path = record_path(cache, key)
    if not path.is_file():
        return None
    try:
        return from_plain(WeightRecord, json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, AttributeError) as error:
        raise ModelError(f"{path} is damaged: {error}", f"remove {path} if you do not need its hashes") from error


def open_stored(cache: Path, key: str) -> Stored | None:
    """The stored weights of `key`, their hash checked; None where they are not in the cache.

    Raises:
        ModelError: they are not what was recorded; the message names both hashes.
    """
    record, path = read_record(cache, key), weights_path(cache, key)
    if record is None or not path.is_file():
        return None
    if (found := sha256_of(path)) != record.weights_sha256:
        raise ModelError(
            f"{path} is damaged: its sha256 is {found}, recorded was {record.weights_sha256}",
            f"remove {path}, then: pcn models get {record.card}" if record.card else f"remove {path}",
        )
    return Stored(path=path, record=record)


def read_published(path: Path, card: Card | None) -> tuple[dict[str, Tensor], NetworkSpec]:
    """The tensors of a `.pth` by our names, and the network they make up.

    Raises:
        ModelError: refused, no PatchConvNet, or another one than the card's; the message says what it is instead.
    """
    tensors, found = (card.network if card else PatchConvNetSpec).recognise(read_pth(path))
    if card and found != card.network:
        classes = "" if found.num_classes == card.network.num_classes else f" with {found.num_classes} classes"
        raise ModelError(
            f"this file holds {found.title}{classes}, the card is {card.network.title}",
            f"pcn models list, or import it without a card: pcn models import {path.name}",
        )
    return tensors, found


def store(path: Path, card: Card | None, *, cache: Path, key: str, sha256: str, origin: Origin) -> Stored:
    """The weights of the `.pth` at `path` (whose hash is `sha256`), converted into the cache, its record last.

    Raises:
        ModelError: as `read_published`; the cache is as it was. ResourceError: not writable.
    """
    tensors, network = read_published(path, card)
    target = weights_path(cache, key)
    dense = {name: tensor.contiguous() for name, tensor in tensors.items()}
    try:
        write_with(target, lambda part: save_file(dense, part, metadata={"format": "pt"}))
    except SafetensorError as error:
        raise ResourceError(f"cannot write {target}: {error}", "choose another place with PCN_CACHE=FOLDER") from error
    record = WeightRecord(
        card=card.full_name if card else "",
        network=network.name,
        num_classes=network.num_classes,
        source=origin.url,
        source_sha256=sha256,
        source_bytes=path.stat().st_size,
        weights_sha256=sha256_of(target),
        recorded=datetime.now(UTC).isoformat(timespec="seconds"),
        etag=origin.etag,
        modified=origin.modified,
    )
    write_json(record_path(cache, key), to_plain(record))
    return Stored(path=target, record=record)
