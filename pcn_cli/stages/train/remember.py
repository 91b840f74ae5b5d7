"""What the trained model remembers of its photos, so that it can tell what is unlike all of them."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pcn_cli.metrics.unlike import MOST_KEPT, Learned, draw_evenly
from pcn_cli.records.photos import SplitRow
from pcn_cli.runs.features import read_features
from pcn_cli.stages.inference.learned import write_learned
from pcn_cli.stages.inference.load import for_inference
from pcn_cli.stages.train.context import TrainContext
from pcn_cli.stages.train.tokens import learned_rows


def remember(model: nn.Module, context: TrainContext, *, frozen: bool) -> None:
    """Put into the model folder the features of training photos, and how far from them validation photos lie.

    Where the trunk is still the `frozen` one, its features stand in the run already.
    """
    path, seed = context.run.features, context.recipe.seed
    if frozen and path.is_file():
        known = read_features(path)
        rows, features = known.rows, known.features
    else:
        learned = learned_rows(context.rows, seed=seed)
        kept = draw_evenly([row.label for row in learned], most=MOST_KEPT, seed=seed)
        rows = (*(learned[place] for place in kept), *context.part("val"))
        features = mean_tokens(model, rows, context)
    parts = np.array([row.split for row in rows])
    labels = [row.label for row in rows if row.split == "train"]
    write_learned(
        context.run.model, Learned.of(features[parts == "train"], features[parts == "val"], labels, seed=seed)
    )


@torch.inference_mode()
def mean_tokens(model: nn.Module, rows: Sequence[SplitRow], context: TrainContext) -> NDArray[np.float32]:
    """The trunk's tokens of `rows`, averaged over the grid, (N, C)."""
    trunk = for_inference(
        model, context.device, precision=context.precision, photos=len(rows), engine=context.recipe.evaluate.engine
    )
    pieces = []
    for batch in context.batches(rows).batches():
        context.stop.check("stopped while features were computed")
        pieces.append(trunk.forward_features(batch.inputs(context.device)).mean(dim=(2, 3)).float().cpu().numpy())
    return np.concatenate(pieces)
