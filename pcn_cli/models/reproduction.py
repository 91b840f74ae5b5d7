"""What was measured of a card on ImageNet on this machine, beside its weights in the cache.

Which crop the published figures at 384 and 512 pixels were measured with is written nowhere. Where a measurement tells
it, the card may be given that ratio: it then prepares its photos so, as long as the weights are the ones measured.

<cache>/<full name of the card>.imagenet.json
"""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from pcn_cli.errors import ModelError
from pcn_cli.files.atomic import explaining_refusal, write_json
from pcn_cli.files.reading import read_json
from pcn_cli.models.cached import weights_cache
from pcn_cli.models.weights import OTHER_CACHE, read_weight_record
from pcn_cli.models.zoo import Card
from pcn_cli.records.codec import from_plain, to_plain
from pcn_cli.records.imagenet import Reproduction
from pcn_cli.records.model import Preprocessing


def read_reproduction(card: Card) -> Reproduction | None:
    """What was measured of the weights that the cache has now; None where that is nothing.

    Raises:
        ModelError: the file is damaged.
    """
    path, weights = reproduction_path(card), read_weight_record(card.full_name)
    if weights is None or not path.is_file():
        return None
    try:
        found = from_plain(Reproduction, read_json(path, most=2**20))
    except (ValueError, AttributeError, OSError) as error:
        raise ModelError(f"{path} is damaged: {error}", f"remove {path}, and measure again") from error
    return found if found.weights_sha256 == weights.weights_sha256 else None


def record_reproduction(card: Card, measured: Reproduction, *, crop_pct: float | None) -> Reproduction:
    """`measured`, kept beside the card's weights with the crop that the card is given, None for its own."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    recorded = replace(measured, crop_pct=crop_pct, recorded=now)
    path = reproduction_path(card)
    with explaining_refusal(path, elsewhere=OTHER_CACHE):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, to_plain(recorded))
    return recorded


def prepare_photos(card: Card) -> Preprocessing:
    """How the card wants its photos, with the crop that a measurement gave it."""
    measured = read_reproduction(card)
    if measured is None or measured.crop_pct is None:
        return card.preprocessing
    return replace(card.preprocessing, crop_pct=measured.crop_pct)


def reproduction_path(card: Card) -> Path:
    """Where the measurement of a card stands."""
    return weights_cache() / f"{card.full_name}.imagenet.json"
