"""Tokens that earlier runs left: which of them a run may go on with, how many they are, what computes the others."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version

import torch
from torch import nn

from pcn_cli.errors import DownloadError, ModelError
from pcn_cli.files.cache import FileCache
from pcn_cli.files.folder import TOKEN_CACHE, cache_folder
from pcn_cli.models.sources.base import Source
from pcn_cli.models.weights import Fetcher
from pcn_cli.recipe.schema import Recipe
from pcn_cli.records.arithmetic import Engine, Precision
from pcn_cli.records.model import ModelConfig
from pcn_cli.records.photos import PARTS, Part, SplitRow
from pcn_cli.stages.inference.load import is_openvino_here, settle_engine
from pcn_cli.training.known_tokens import KnownPhoto, KnownTokens, hash_trunk

MOST_LEARNED = 20_000  # training photos; of more the probe learns from a sample of as many
MOST_MIRRORED = 10_000  # photos of a part; of more, mirror images teach little (log-loss 0.01) for twice the passes
_BEHIND_TOKENS = ("class_tokens", "pooling_rank")  # settings of a network that its tokens do not depend on


@dataclass(frozen=True, kw_only=True)
class Known:
    """Which tokens of photos are known, and what computes the others of each part: the `engines`, with the `reasons`.

    `tokens` are those of each part; where none are kept, there is none.
    """

    engines: Mapping[Part, Engine]
    reasons: Mapping[Part, str]
    tokens: Mapping[Part, KnownTokens] = field(default_factory=dict)

    def holds(self, row: SplitRow) -> bool:
        """Whether the photo's tokens are known, unless they turn out to be damaged."""
        return row.split in self.tokens and self.tokens[row.split].holds(row.sha256)

    def read(self, row: SplitRow) -> KnownPhoto | None:
        """The photo's tokens; None where they are not known, or damaged."""
        return self.tokens[row.split].read(row.sha256) if row.split in self.tokens else None

    def write(self, row: SplitRow, photo: KnownPhoto) -> None:
        """Keep the photo's tokens, if any are kept and there is room."""
        if row.split in self.tokens:
            self.tokens[row.split].write(row.sha256, photo)


def open_known(
    model: nn.Module,
    rows: Sequence[SplitRow],
    *,
    config: ModelConfig,
    recipe: Recipe,
    device: torch.device,
    precision: Precision,
) -> Known:
    """What is known of the photos of a run, of whatever run, as `model` would give it in this precision.

    Two engines round differently, so that their tokens of a part are never mixed: that which computed most of the
    photos already also computes the others, however few these are, unless the recipe names one. Else it goes by how
    many pictures of the part there are: who measures a part once more asks the same engine.
    """
    asked = recipe.evaluate.engine
    counts = Counter(row.split for row in rows)
    pictures = {part: counts[part] for part in PARTS}
    pictures["train"] = count_seen([row for row in rows if row.split == "train"], recipe)
    settled = {
        part: settle_engine(model, device, precision=precision, photos=count, asked=asked)
        for part, count in pictures.items()
    }
    engines = {part: engine for part, (engine, _) in settled.items()}
    reasons = {part: reason for part, (_, reason) in settled.items()}
    limit = int(recipe.train.token_cache * 1e9)
    if not limit:
        return Known(engines=engines, reasons=reasons)
    cache, trunk = FileCache(folder=cache_folder(TOKEN_CACHE), limit=limit), hash_trunk(model)
    settings = {name: value for name, value in config.model_args.items() if name not in _BEHIND_TOKENS}
    made = (config.architecture, json.dumps(settings, sort_keys=True, default=str), config.preprocessing)

    def known_by(part: Part, engine: Engine) -> KnownTokens:
        computed_by = f"openvino {version('openvino')}" if engine == "openvino" else "torch"
        arithmetic = (precision, device.type, torch.__version__, computed_by)
        views = "mirrored" if is_mirrored(part, recipe, photos=counts[part]) else "upright"
        facts = (trunk, made, arithmetic, views, "half" if part == "train" else "exact")
        return KnownTokens(cache=cache, form=repr(facts))

    def known(engines: Mapping[Part, Engine], reasons: Mapping[Part, str]) -> Known:
        tokens = {part: known_by(part, engine) for part, engine in engines.items()}
        return Known(engines=engines, reasons=reasons, tokens=tokens)

    found = known(engines, reasons)
    alone: tuple[Engine, ...] = ()
    if asked is None and device.type == "cpu" and is_openvino_here():
        alone = ("torch", "openvino")
    others = [dict.fromkeys(PARTS, engine) for engine in alone if set(engines.values()) != {engine}]
    held = sum(map(found.holds, rows)) if others else 0
    for other in others:
        count = sum(map(known(other, {}).holds, rows))
        if count > held and 2 * count > len(rows):
            return known(other, dict.fromkeys(PARTS, f"it computed {count:,} of {len(rows):,} photos before"))
    return found


def count_known(source: Source, rows: Sequence[SplitRow], *, recipe: Recipe, device: torch.device) -> dict[Part, int]:
    """Of how many of `rows`, by part, a run would not compute the tokens; none where the weights are not here."""
    if not (recipe.train.token_cache and recipe.train.probe_epochs and cache_folder(TOKEN_CACHE).is_dir()):
        return dict.fromkeys(PARTS, 0)
    classes = tuple(sorted({name for row in rows for name in row.labels}))
    try:
        model, config = source.start(classes, recipe, fetch=Fetcher(offline=True))
    except (DownloadError, ModelError):  # that they are damaged is told by the run itself
        return dict.fromkeys(PARTS, 0)
    asked = recipe.evaluate.precision
    precisions: tuple[Precision, ...] = (asked,) if asked else ("float32", "bfloat16")

    found = [
        open_known(model, rows, config=config, recipe=recipe, device=device, precision=precision)
        for precision in precisions
    ]
    known = {part: [row for row in rows if row.split == part] for part in PARTS}
    return {part: max(sum(map(one.holds, own)) for one in found) for part, own in known.items()}


def is_mirrored(part: Part, recipe: Recipe, *, photos: int) -> bool:
    """Whether the tokens of a part's photos, so many, are those of their mirror images as well."""
    if recipe.evaluate.mirror:  # the network sees both already
        return False
    return photos <= MOST_MIRRORED and recipe.augment.flip and (part == "train" or recipe.evaluate.folds is not None)


def count_seen(rows: Sequence[SplitRow], recipe: Recipe) -> int:
    """How many pictures the trunk sees of these photos; one that is looked at mirrored as well counts twice."""
    counts = Counter(row.split for row in rows)
    return sum(count * (2 if is_mirrored(part, recipe, photos=count) else 1) for part, count in counts.items())
