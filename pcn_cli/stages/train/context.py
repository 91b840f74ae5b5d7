"""Work: what the parts of a training share, and the photos of each part."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pcn_cli.data.load.augment import Augmentation
from pcn_cli.data.load.dataset import PhotoDataset, shuffled
from pcn_cli.data.load.loaders import PhotoBatches
from pcn_cli.metrics.confidence import mean_average_precision
from pcn_cli.metrics.decisions import accuracy
from pcn_cli.metrics.inputs import collect_answers
from pcn_cli.metrics.multi_label.answers import as_truths
from pcn_cli.metrics.multi_label.answers import collect_answers as collect_multi_answers
from pcn_cli.recipe.schema import Recipe
from pcn_cli.records.metrics import Candidate
from pcn_cli.records.model import ModelConfig, Preprocessing
from pcn_cli.records.photos import Part, SplitRow
from pcn_cli.runs.rundir import RunDir
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.inference.load import Fetcher
from pcn_cli.stages.inference.workers import loading_workers
from pcn_cli.training.balance import even_order
from pcn_cli.training.stop import StopRequest

Probabilities = NDArray[np.float64]
Targets = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Work:
    """What the parts of training share."""

    run: RunDir
    recipe: Recipe
    rows: tuple[SplitRow, ...]
    root: Path
    classes: tuple[str, ...]
    config: ModelConfig
    device: torch.device
    fetch: Fetcher
    callback: Callback
    stop: StopRequest

    def part(self, name: Part) -> list[SplitRow]:
        """The rows of a part, in the order of the split."""
        return [row for row in self.rows if row.split == name]

    def batches(
        self,
        rows: Sequence[SplitRow],
        *,
        batch_size: int,
        augmentation: Augmentation | None = None,
        preprocessing: Preprocessing | None = None,
    ) -> PhotoBatches:
        """The photos of `rows` in batches: shuffled or drawn, and varied, for training, in order otherwise.

        `preprocessing` is the model's own where it is None.
        """
        targets, order = self.targets(rows), None
        if augmentation is not None:
            even, seed = self.recipe.train.balance == "sampler", self.recipe.seed
            order = partial(even_order, targets, seed) if even else partial(shuffled, len(rows), seed)
        photos = PhotoDataset(
            self.root,
            [row.file for row in rows],
            targets,
            preprocessing=preprocessing or self.config.preprocessing,
            augmentation=augmentation,
        )
        workers = loading_workers(self.recipe, self.device)
        return PhotoBatches(photos, batch_size=batch_size, workers=workers, order=order)

    def targets(self, rows: Sequence[SplitRow]) -> Targets:
        """The class index of each photo, (N,); of 0 and 1, (N, K), where photos may have several labels."""
        if self.config.multi_label:
            return as_truths([row.label for row in rows], self.classes).astype(np.int64)
        return np.array([self.classes.index(row.label) for row in rows])

    def candidate(self, name: str, val_log_loss: float, probabilities: Probabilities) -> Candidate:
        """A candidate with the figure that its `probabilities` of the test part reach."""
        labels = [row.label for row in self.part("test")]
        if self.config.multi_label:
            answers = collect_multi_answers(labels, probabilities, self.classes)
            return Candidate(
                name=name, val_log_loss=val_log_loss, mean_average_precision=mean_average_precision(answers)
            )
        figure = accuracy(collect_answers(labels, probabilities, self.classes))
        return Candidate(name=name, val_log_loss=val_log_loss, accuracy=figure)
