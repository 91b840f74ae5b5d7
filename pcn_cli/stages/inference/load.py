"""From a word a person types to a network in evaluation mode: a card, a run, a model folder or a weight file."""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import nn

from pcn_cli.errors import command
from pcn_cli.metrics.unlike import Learned
from pcn_cli.models.fold_norms import fold_norms
from pcn_cli.models.sources import find_source
from pcn_cli.models.weights import Fetcher
from pcn_cli.models.zoo import look_up_card
from pcn_cli.recipe.arguments import checked
from pcn_cli.records.model import ModelConfig
from pcn_cli.runs.rundir import RunDir, open_run
from pcn_cli.runs.state import check_model, require
from pcn_cli.stages.inference.learned import read_learned
from pcn_cli.tensors.network import Network
from pcn_cli.training.device import choose_device


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A network in evaluation mode with its facts, where it computes, and what it remembers of the photos it saw."""

    network: nn.Module
    config: ModelConfig
    device: torch.device
    learned: Learned | None = None


@checked
def load_model(source: str | Path | None = None, *, offline: bool = False, mirror: str | None = None) -> nn.Module:
    """The network behind `source`, in evaluation mode.

    `model(images)` gives the logits, `model.attend(images)` a NamedTuple with logits, weights, values and grid.

    Args:
        source: a card such as "s60", a run, a model folder, a `.safetensors` or a `.pth` in the published layout; the
            latest run when None.
        offline: never download.
        mirror: where published weights come from instead.

    Raises:
        RunError: there is no such run.
        ModelError: the file is refused or does not fit.
        DownloadError: the weights are not to be had.
    """
    return open_model(source, fetch=Fetcher(offline=offline, mirror=mirror)).network


def open_model(source: str | Path | None, *, fetch: Fetcher, device: str | None = "cpu") -> LoadedModel:
    """The network behind `source` in evaluation mode, with its facts; `device` is chosen when None."""
    name = model_source(source)
    network, config = find_source(name).read(fetch=fetch)
    learned = read_learned(Path(name), network)
    return LoadedModel(network=network, config=config, device=choose_device(device), learned=learned)


def for_inference(network: nn.Module, device: torch.device) -> Network:
    """The network as it answers fastest: in evaluation mode, batch norms folded, channels-last on `device`.

    It is a copy where there is a norm to fold: what is trained, saved or made to forget keeps its layers.
    """
    ready = fold_norms(network).to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return cast("Network", ready.eval())


def model_source(source: str | Path | None) -> str:
    """`source` with a run replaced by its model folder; the latest run when None.

    The name of a card comes before a run's, which is meant by ./NAME.
    """
    if source is not None and (look_up_card(str(source)) or not RunDir(Path(source)).record.is_file()):
        return str(source)
    run = open_run(source)
    require(run, run.model, f"finish it with {command('finetune', '--resume', run.root)}")
    check_model(run)
    return str(run.model)
