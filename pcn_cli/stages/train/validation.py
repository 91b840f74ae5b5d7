"""The figures that choose epochs and models: what a network that learns says of the validation photos."""

import numpy as np
import torch
from sklearn.metrics import accuracy_score, f1_score, log_loss
from torch import nn

from pcn_cli.data.load.loaders import PhotoBatches
from pcn_cli.metrics.calibration import binary_log_loss
from pcn_cli.metrics.definitions import macro_f1_of
from pcn_cli.stages.train.context import Probabilities, Targets, TrainContext
from pcn_cli.training.fit_config import Validation
from pcn_cli.training.objective import to_probabilities


def validate(targets: Targets, probabilities: Probabilities) -> Validation:
    """The figures of probabilities (N, K) beside class numbers (N,), or (N, K) of 0 and 1 for several labels."""
    if targets.ndim == 2:
        truths, decided = targets.astype(bool), probabilities >= 0.5  # thresholds are not chosen yet
        return Validation(
            log_loss=binary_log_loss(truths, probabilities),
            accuracy=float((decided == truths).all(axis=1).mean()),
            macro_f1=macro_f1_of(truths, decided),
        )
    predicted = probabilities.argmax(axis=1)
    exact = probabilities / probabilities.sum(axis=1, keepdims=True, dtype=np.float64)
    return Validation(
        log_loss=float(log_loss(targets, exact, labels=np.arange(probabilities.shape[1]))),
        accuracy=float(accuracy_score(targets, predicted)),
        macro_f1=float(f1_score(targets, predicted, average="macro", zero_division=0)),
    )


@torch.inference_mode()
def score_batches(model: nn.Module, batches: PhotoBatches, context: TrainContext) -> Probabilities:
    """(N, K) float64, in the order of the batches."""
    pieces = []
    for batch in batches.batches():
        context.stop.check("stopped while measuring")
        images = batch.images.to(context.device, memory_format=torch.channels_last)
        pieces.append(to_probabilities(model(images), multi_label=context.model_config.multi_label).numpy())
    return np.concatenate(pieces)
