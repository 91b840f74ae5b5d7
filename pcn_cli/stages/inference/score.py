"""The one pass that gives scores and maps, used by evaluation and prediction alike."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch import Tensor

from pcn_cli.attention.evidence import rank_classes
from pcn_cli.attention.maps import attention_numbers, choose_weights, image_shares, look_maps
from pcn_cli.data.load.loaders import PhotoBatches, PhotoDataset
from pcn_cli.data.load.preprocessing import place_input
from pcn_cli.files.machine import available_cores
from pcn_cli.recipe.choose import choose_workers
from pcn_cli.recipe.schema import Recipe
from pcn_cli.records.model import ModelConfig, Placement
from pcn_cli.records.photos import SplitRow, join_labels
from pcn_cli.records.predictions import AttentionMaps, Decision, Prediction
from pcn_cli.runs.predictions import write_attention, write_jsonl, write_predictions
from pcn_cli.runs.rundir import RunDir
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.inference.hiding import HiddenMaps, Hiding, hide_batch, stack_hidden
from pcn_cli.stages.inference.load import LoadedModel, for_inference
from pcn_cli.tensors.network import Attended, Batch, Network
from pcn_cli.training.device import explain_memory
from pcn_cli.training.probabilities import to_probabilities
from pcn_cli.training.tokens import TokenCache

_DOING = "photos were scored"
_SMALLER = "give predict --batch-size 8, or finetune --set evaluate.batch_size=8"


@dataclass(frozen=True, kw_only=True)
class Scored:
    """One photo's prediction with its look map, (h, w) ≥ 0 summing to 1, and where the network's input lay.

    `hidden` is what hiding patches gave, where that was asked for; `features` (C,) are the photo's mean tokens;
    `missing` is about the share of its rows that a truncated photo lacks, None of a whole one; `picture` (H, W, 3)
    uint8 is a vast photo with fewer pixels, where they were kept.
    """

    index: int
    prediction: Prediction
    look: np.ndarray
    placement: Placement
    hidden: HiddenMaps | None = None
    features: np.ndarray | None = None
    missing: float | None = None
    picture: NDArray[np.uint8] | None = None


def loading_workers(recipe: Recipe, device: torch.device) -> int:
    """How many processes load photos: the recipe's number, or what suits this machine."""
    if recipe.train.workers is not None:
        return recipe.train.workers
    free = psutil.virtual_memory().available / 1e9
    return choose_workers(str(device), available_cores(), host_gb=free)[0]


def score_photos(
    model: LoadedModel,
    root: Path,
    files: Sequence[str],
    *,
    batch_size: int,
    workers: int,
    hiding: Hiding | None = None,
    tokens: TokenCache | None = None,
    on_unreadable: Callable[[int, str], None] | None = None,
) -> Iterator[Scored]:
    """Each photo's scores and maps, in the order of `files`; photos that cannot be opened go to `on_unreadable`.

    With `hiding` evidence and curves are computed in the same pass. Where the `tokens` that this network's trunk gives
    of `files` are known, exactly and in this order, no photo is opened and the trunk has nothing to do.

    Raises:
        ResourceError: a batch does not fit into memory.
    """
    photos = PhotoBatches(
        PhotoDataset(
            root,
            files,
            preprocessing=model.config.preprocessing,
            load_truncated=model.load_truncated,
            keep_vast=model.keep_vast,
        ),
        batch_size=batch_size,
        workers=workers,
        device=model.device,
        on_unreadable=on_unreadable,
    )
    with explain_memory(_DOING, _SMALLER):
        network = for_inference(
            model.network, model.device, precision=model.precision, photos=len(files), engine=model.engine
        )
    for batch in photos.batches() if tokens is None else tokens.in_order(batch_size):
        yield from score_batch(model, network, batch, files, hiding=hiding, tokens=tokens is not None)


def score_batch(
    model: LoadedModel,
    network: Network,
    batch: Batch,
    files: Sequence[str],
    *,
    hiding: Hiding | None = None,
    tokens: bool = False,
) -> Iterator[Scored]:
    """The scores and maps of one batch by `network`, the form of the model's that answers; it may hold `tokens`.

    Raises:
        ResourceError: it does not fit into memory.
    """
    config, indices, missing = model.config, batch.indices.tolist(), dict(batch.missing)
    pictures = dict(batch.pictures)
    hidden: Sequence[HiddenMaps | None] = [None] * len(indices)
    with explain_memory(_DOING, _SMALLER), torch.inference_mode():
        seen, attended = _attend(model, network, batch, values=hiding is not None, tokens=tokens)
        ranked = rank_classes(attended.logits)
        weights = _weights_of(attended)
        looks, shares = look_maps(weights, attended.grid), image_shares(weights, attended.grid)
        if hiding is not None:
            hidden = hide_batch(
                network, seen, attended, looks=looks, ranked=ranked, indices=indices, config=config, hiding=hiding
            )
        means = _mean_tokens(seen)
    decisions = _decide(model, attended.logits, means, [files[index] for index in indices])
    for row, (index, own) in enumerate(zip(indices, hidden, strict=True)):
        placement = place_input(config.preprocessing, *batch.sizes[row].tolist())
        numbers = attention_numbers(looks[row], float(shares[row]), patch_grid=config.patch_grid, placement=placement)
        yield Scored(
            index=index,
            prediction=Prediction(**vars(decisions[row]), attention=numbers, hiding=own.numbers if own else None),
            look=looks[row],
            placement=placement,
            hidden=own,
            features=means[row],
            missing=missing.get(index),
            picture=pictures.get(index),
        )


def decide_batch(model: LoadedModel, network: Network, batch: Batch) -> list[tuple[Decision, np.ndarray]]:
    """The decision on each photo of a batch, without its name, and its look (h, w): what an answer needs, sooner.

    Raises:
        ResourceError: it does not fit into memory.
    """
    with explain_memory(_DOING, _SMALLER), torch.inference_mode():
        seen, attended = _attend(model, network, batch)
        looks = look_maps(_weights_of(attended), attended.grid)
        means = _mean_tokens(seen) if model.learned else None
    return list(zip(_decide(model, attended.logits, means, [""] * len(looks)), looks, strict=True))


def score_rows(
    model: LoadedModel,
    rows: Sequence[SplitRow],
    *,
    root: Path,
    recipe: Recipe,
    hiding: Hiding | None,
    callback: Callback,
    doing: str = "evaluating",
    tokens: TokenCache | None = None,
) -> list[Scored]:
    """Scores and maps of photos whose labels are known, in their order; `doing` is what the callback is told.

    `tokens` are as `score_photos` takes them.
    """
    scored = []
    for one in score_photos(
        replace(model, load_truncated=recipe.data.load_truncated),
        root,
        [row.file for row in rows],
        batch_size=recipe.evaluate.batch_size,
        workers=loading_workers(recipe, model.device),
        hiding=hiding,
        tokens=tokens,
    ):
        row = rows[one.index]
        scored.append(replace(one, prediction=replace(one.prediction, label=row.label, split=row.split)))
        callback.on_progress(doing, len(scored), len(rows))
    return scored


def score_validation(
    model: LoadedModel,
    rows: Sequence[SplitRow],
    *,
    root: Path,
    recipe: Recipe,
    callback: Callback,
) -> NDArray[np.float64]:
    """The probabilities (n, K) of `rows` at temperature 1, scored exactly as predict and evaluate score photos."""
    plain = replace(model, config=replace(model.config, temperature=1.0))
    scored = score_rows(plain, rows, root=root, recipe=recipe, hiding=None, callback=callback, doing="calibrating")
    return np.array([one.prediction.probabilities for one in scored])


def write_scored(run: RunDir, scored: Sequence[Scored], config: ModelConfig) -> None:
    """Put predictions and maps into the run."""
    predictions = [one.prediction for one in scored]
    write_predictions(run.predictions, predictions, config.classes)
    write_jsonl(run.predictions_jsonl, predictions, config.classes)
    maps = AttentionMaps(
        files=tuple(prediction.file for prediction in predictions),
        looks=np.stack([one.look for one in scored]),
        placements=tuple(one.placement for one in scored),
        patch_grid=config.patch_grid,
        **stack_hidden([one.hidden for one in scored if one.hidden]),
    )
    write_attention(run.attention, maps)


def _attend(
    model: LoadedModel, network: Network, batch: Batch, *, values: bool = False, tokens: bool = False
) -> tuple[Tensor, Attended]:
    """The tokens of a batch, which may hold them, and what the rest of the network makes of them."""
    seen = batch.inputs(model.device)
    if not tokens:
        seen = network.forward_features(seen)
    return seen, network.attend_tokens(seen, values=values)


def _weights_of(attended: Attended) -> np.ndarray:
    """How the token of each photo's surest class looked, (B, N+1) or (B, N)."""
    weights = attended.weights.float().cpu().numpy()
    surest = rank_classes(attended.logits)[:, 0].tolist() if weights.shape[1] > 1 else ()  # few networks are asked
    return choose_weights(weights, surest)


def _mean_tokens(seen: Tensor) -> NDArray[np.float32]:
    """(B, C)."""
    means: NDArray[np.float32] = seen.mean(dim=(2, 3)).float().cpu().numpy()
    return means


def _decide(
    model: LoadedModel, logits: Tensor, means: NDArray[np.float32] | None, files: Sequence[str]
) -> list[Decision]:
    """What the model says of the photos `files`, whose tokens have these `means`, where it learned from any."""
    config = model.config
    probabilities = to_probabilities(logits, multi_label=config.multi_label, temperature=config.temperature).numpy()
    unlike = model.learned.unlike(means) if model.learned and means is not None else None
    decisions = []
    for row, file in enumerate(files):
        predicted, confidence = _choose(probabilities[row], config)
        decisions.append(
            Decision(
                file=file,
                predicted=predicted,
                confidence=confidence,
                probabilities=tuple(probabilities[row].tolist()),
                multi_label=config.multi_label,
                unknown=config.withholds(confidence),
                unlike=None if unlike is None else float(unlike[row]),
            )
        )
    return decisions


def _choose(probabilities: np.ndarray, config: ModelConfig) -> tuple[str, float]:
    """The answer and how sure it is: the most probable class, or every class that reaches its threshold."""
    if not config.multi_label:
        best = int(probabilities.argmax())
        return config.classes[best], float(probabilities[best])
    given = probabilities >= np.array(config.cuts)
    names = join_labels(name for name, own in zip(config.classes, given, strict=True) if own)
    return names, float(np.where(given, probabilities, 1 - probabilities).min())
