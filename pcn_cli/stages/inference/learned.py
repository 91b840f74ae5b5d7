"""What a model folder keeps of the photos that were learned from, in learned.safetensors: features, never pixels."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from pcn_cli.errors import ModelError
from pcn_cli.metrics.unlike import Learned
from pcn_cli.models.build import read_tensors
from pcn_cli.tensors.store import save_tensors

LEARNED = "learned.safetensors"


def write_learned(folder: Path, learned: Learned) -> None:
    """Put it beside the model's weights, as float16."""
    tensors = {
        "features": torch.from_numpy(learned.features).half(),
        "distances": torch.from_numpy(learned.distances),
    }
    save_tensors(folder / LEARNED, tensors)


def read_learned(folder: Path, network: nn.Module) -> Learned | None:
    """What the model in `folder` keeps; None in folders of older versions.

    Raises:
        ModelError: the file is damaged, or of another network.
    """
    path = folder / LEARNED
    if not path.is_file():
        return None
    tensors = read_tensors(path)
    features, distances = (tensors.get(name, torch.empty(0)).numpy() for name in ("features", "distances"))
    channels = getattr(network, "num_features", None)
    if features.ndim != 2 or distances.ndim != 1 or not len(features) or features.shape[1] != channels:
        hint = "bring it back from a copy, or train again"
        raise ModelError(f"{path} does not belong to this network of {channels} features", hint)
    return Learned(np.ascontiguousarray(features), distances)
