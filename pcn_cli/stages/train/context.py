"""What the parts of a training share: its run and recipe, photos in batches, figures of the validation photos, and
where its epochs are written down.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from sklearn.metrics import log_loss
from torch import Tensor, nn

from pcn_cli.data.load.loaders import PhotoBatches, PhotoDataset, Preparation, shuffled
from pcn_cli.data.load.photo_cache import PhotoCache
from pcn_cli.files.folder import cache_folder
from pcn_cli.metrics.calibration import binary_log_loss
from pcn_cli.metrics.choice import macro_f1
from pcn_cli.metrics.inputs import as_truths, model_inputs
from pcn_cli.metrics.measure import measure_headline
from pcn_cli.models.sources import find_source
from pcn_cli.models.weights import Fetcher
from pcn_cli.recipe.schema import Monitor, Recipe
from pcn_cli.records.arithmetic import Precision
from pcn_cli.records.model import ModelConfig, Preprocessing
from pcn_cli.records.photos import Part, SplitRow
from pcn_cli.records.run import EpochRow
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.state import photo_root, read_record
from pcn_cli.runs.store import HISTORY
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.inference.load import for_inference, model_source
from pcn_cli.stages.inference.score import loading_workers
from pcn_cli.training.balance import even_order
from pcn_cli.training.device import choose_device
from pcn_cli.training.fit import FitCallback
from pcn_cli.training.fit_config import Phase, Validation
from pcn_cli.training.join import current_ranks
from pcn_cli.training.probabilities import to_probabilities
from pcn_cli.training.ranks import ALONE, Ranks
from pcn_cli.training.stop import StopRequest

Probabilities = NDArray[np.float64]
Targets = NDArray[np.int64]


class Trial(NamedTuple):
    """Tokens (n, C, h, w) of some validation photos as float32 gives them, and as bfloat16 does."""

    exact: Tensor
    fast: Tensor


@dataclass(frozen=True, kw_only=True)
class TrainContext:
    """What the parts of a training share; of several processes, only rank 0 touches the run.

    `precision` is that of the trunk when photos are scored or tokens computed; `trial` is there where bfloat16 was not
    asked for and has still to give the same answers. Where nobody `tries_probe`, the regression is all there is.
    """

    run: RunDir
    recipe: Recipe
    rows: tuple[SplitRow, ...]
    root: Path
    model_config: ModelConfig
    device: torch.device
    fetch: Fetcher
    callback: Callback
    stop: StopRequest
    ranks: Ranks = ALONE
    precision: Precision = "float32"
    trial: Trial | None = None
    tries_probe: bool = True

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the logits."""
        return self.model_config.classes

    @property
    def monitor(self) -> Monitor:
        """The validation figure that chooses among epochs and among models."""
        return self.recipe.train.monitor or "log_loss"

    def measure(self, part: Part, probabilities: Probabilities) -> dict[str, Any]:
        """The `Metric` that models are compared by, or None, under its key; of answers (N, K) to a part's photos."""
        inputs = model_inputs([row.label for row in self.part(part)], probabilities, self.model_config)
        return {inputs.headline: measure_headline(inputs)}

    def tell_result(self, name: str, probabilities: Probabilities, *, kept: bool) -> None:
        """Say how good a model's answers to the validation photos are, and when that was known."""
        (figure,) = self.measure("val", probabilities).values()
        if figure is None:
            return
        words = "mean average precision" if self.model_config.multi_label else "right"
        between = "" if figure.ci_low is None else f" ({figure.ci_low:.1%} to {figure.ci_high:.1%})"
        made = datetime.fromisoformat(read_record(self.run).created).timestamp()
        # A resumed run was made long before, a notebook was started long before.
        passed = time.time() - max(made, psutil.Process().create_time())
        verdict = "the best so far" if kept else "no better, so not kept"
        self.callback.on_note(
            f"{name}: {figure.value:.1%} {words}{between} on {len(probabilities):,} validation photos, "
            f"after {passed:.0f} s; {verdict}"
        )

    def part(self, name: Part) -> list[SplitRow]:
        """The rows of a part, in the order of the split."""
        return [row for row in self.rows if row.split == name]

    def train_batches(self, *, batch_size: int) -> PhotoBatches:
        """The training photos as tuning sees them: shuffled, or drawn so that classes come equally often; augmented."""
        from pcn_cli.data.load.augment import (
            Augmentation,  # a third of a second, which a frozen trunk need not wait for
        )

        rows, recipe, preprocessing = self.part("train"), self.recipe, self.model_config.preprocessing
        augmentation = Augmentation(
            level=recipe.augment.level or "light",
            flip=recipe.augment.flip,
            preprocessing=preprocessing,
            seed=recipe.seed,
        )
        even = recipe.train.balance == "sampler"
        order = partial(even_order, self.targets(rows)) if even else partial(shuffled, len(rows))
        return PhotoBatches(
            self._photos(rows, preprocessing, augmentation, cache=self._photo_cache()),
            batch_size=batch_size,
            workers=loading_workers(recipe, self.device),
            device=self.device,
            order=partial(order, recipe.seed),
            share=self.ranks.share if self.ranks.world > 1 else None,
        )

    def own_rows(self, rows: Sequence[SplitRow]) -> tuple[Sequence[SplitRow], int]:
        """Those of `rows` whose batches are computed by this process, and the place of the first among all."""
        size = self.recipe.evaluate.batch_size
        own = self.ranks.block(-(-len(rows) // size))
        return rows[own.start * size : own.stop * size], own.start * size

    def batches(self, rows: Sequence[SplitRow], preprocessing: Preprocessing | None = None) -> PhotoBatches:
        """The photos of `rows` in their order, prepared as the model asks for, or another with its `preprocessing`.

        Where the trunk is tuned, those that it does not learn from are asked for often, and kept in the cache.
        """
        often = self.recipe.train.tune != "probe" and all(row.split != "train" for row in rows)
        cache = self._photo_cache() if often else None
        photos = self._photos(rows, preprocessing or self.model_config.preprocessing, cache=cache)
        workers = loading_workers(self.recipe, self.device)
        size = self.recipe.evaluate.batch_size
        return PhotoBatches(photos, batch_size=size, workers=workers, device=self.device)

    def _photo_cache(self) -> PhotoCache | None:
        limit = int(self.recipe.train.photo_cache * 1e9)
        return PhotoCache(folder=cache_folder("photos"), limit=limit) if limit else None

    def _photos(
        self,
        rows: Sequence[SplitRow],
        preprocessing: Preprocessing,
        augmentation: Preparation | None = None,
        *,
        cache: PhotoCache | None = None,
    ) -> PhotoDataset:
        return PhotoDataset(
            self.root,
            [row.file for row in rows],
            self.targets(rows),
            preprocessing=preprocessing,
            augmentation=augmentation,
            cache=cache,
            hashes=[row.sha256 for row in rows],
            load_truncated=self.recipe.data.load_truncated,
        )

    def targets(self, rows: Sequence[SplitRow]) -> Targets:
        """The class index of each photo, (N,); of 0 and 1, (N, K), where photos may have several labels."""
        if self.model_config.multi_label:
            return as_truths([row.label for row in rows], self.classes).astype(np.int64)
        return np.array([self.classes.index(row.label) for row in rows])


def start_model(
    run: RunDir, recipe: Recipe, rows: Sequence[SplitRow], *, fetch: Fetcher, callback: Callback, stop: StopRequest
) -> tuple[nn.Module, TrainContext]:
    """The network to start training from, with a head for the classes of `rows`, and what its training shares."""
    classes = tuple(sorted({name for row in rows for name in row.labels}))
    model, model_config = find_source(model_source(recipe.model.name)).start(classes, recipe, fetch=fetch)
    device = choose_device(recipe.train.device)
    # At once: who has the tokens already asks the pooling first, and nothing else would have brought it there.
    return model.to(device), TrainContext(
        run=run,
        recipe=recipe,
        rows=tuple(rows),
        root=photo_root(run),
        model_config=replace(model_config, multi_label=any(row.multi_label for row in rows)),
        device=device,
        fetch=fetch,
        callback=callback,
        stop=stop,
        ranks=current_ranks(),
    )


class NoteCallback(FitCallback):
    """Hands on what a fit notes, and nothing else."""

    def __init__(self, context: TrainContext) -> None:
        self.context = context

    def on_note(self, text: str) -> None:  # noqa: D102 - as FitCallback says
        self.context.callback.on_note(text)


class StepCallback(NoteCallback):
    """Hands on the steps as well."""

    def on_step(self, step: int, total: int, loss: float, lr: float, images_per_second: float) -> None:  # noqa: D102
        self.context.callback.on_step(step, total, loss, lr, images_per_second)


class HistoryCallback(StepCallback):
    """Keeps history.csv while it grows: rows of before a stop stay, an epoch that is done again replaces its row."""

    def __init__(self, context: TrainContext, phase: Phase, epochs: int) -> None:
        super().__init__(context)
        self._phase, self._epochs = phase, epochs
        self._rows = {(row.phase, row.epoch): row for row in HISTORY.read(context.run)}

    def on_step(self, step: int, total: int, loss: float, lr: float, images_per_second: float) -> None:  # noqa: D102
        if self._phase == "tune":  # a probe's steps are too many and too short to be worth telling
            super().on_step(step, total, loss, lr, images_per_second)

    def on_epoch(self, row: EpochRow) -> None:  # noqa: D102
        self.complete((row,))
        self.context.callback.on_epoch(row, self._epochs)

    def complete(self, rows: Sequence[EpochRow]) -> None:
        """Put `rows` on the disk; a stop may have come between a checkpoint and its row."""
        self._rows.update({(row.phase, row.epoch): row for row in rows})
        HISTORY.write(self.context.run, [self._rows[key] for key in sorted(self._rows)])  # "probe" before "tune"


def validate(targets: Targets, probabilities: Probabilities) -> Validation:
    """The figures of probabilities (N, K) beside class numbers (N,), or (N, K) of 0 and 1 for several labels.

    The loss is that before any temperature, unlike the one that models are compared by: with a temperature for each
    epoch one wins that has learned less of where to look (measured: tests/benchmarks/RESULTS.md).
    """
    if targets.ndim == 2:
        truths = targets.astype(bool)
        loss, right = binary_log_loss(truths, probabilities), ((probabilities >= 0.5) == truths).all(axis=1)
    else:
        exact = probabilities / probabilities.sum(axis=1, keepdims=True, dtype=np.float64)
        loss = float(log_loss(targets, exact, labels=np.arange(probabilities.shape[1])))
        right = probabilities.argmax(axis=1) == targets
    return Validation(
        log_loss=loss,
        accuracy=float(right.mean()),
        macro_f1=macro_f1(targets, probabilities),
    )


def score_batches(model: nn.Module, batches: PhotoBatches, context: TrainContext, *, photos: int) -> Probabilities:
    """(N, K) float64, in the order of the batches; so many `photos` are scored by all processes."""
    # Not in inference mode: of few photos the network itself answers, and is to learn afterwards. By torch: to convert
    # weights that change with every epoch would never pay.
    network = for_inference(model, context.device, precision=context.precision, photos=photos, engine="torch")
    pieces = [np.empty((0, len(context.classes)))]
    with torch.inference_mode():
        for batch in batches.batches():
            context.stop.check("stopped while measuring")
            images = batch.inputs(context.device)
            logits = network.forward_head(network.forward_features(images))
            pieces.append(to_probabilities(logits, multi_label=context.model_config.multi_label).numpy())
    return np.concatenate(pieces)
