"""From a word a person types to a network in evaluation mode: a card, a run, a model folder or a weight file."""

from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import cast

import torch
from torch import nn

from pcn_cli.errors import RecipeError, ResourceError, RunError, command
from pcn_cli.metrics.unlike import Learned
from pcn_cli.models.patchconvnet import PatchConvNet
from pcn_cli.models.sources import find_source
from pcn_cli.models.weights import Fetcher
from pcn_cli.models.zoo import look_up_card
from pcn_cli.recipe.arguments import checked
from pcn_cli.recipe.schema import Recipe
from pcn_cli.records.arithmetic import Engine, Precision
from pcn_cli.records.model import ModelConfig
from pcn_cli.runs.rundir import RunDir, open_run
from pcn_cli.runs.state import check_model, read_record, require
from pcn_cli.stages.inference.learned import read_learned
from pcn_cli.tensors.network import Network
from pcn_cli.training.device import choose_device, has_native_bf16

# Photos from which on it pays to build the fast form, which takes about as long as eight of them.
FEWEST_PHOTOS = 8
# And from which on it pays to convert the network for OpenVINO, which takes ten seconds of a processor and more. It is
# never looked at whether it was converted before: the same work is done alike each time.
FEWEST_CONVERTED = 700
FEWEST_CONVERTED_PATCHCONVNET = 3_000  # in bfloat16, where torch is nearly as fast; in float32 torch remains


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A network in evaluation mode with its facts, where it computes and its trunk in which precision, and what it
    remembers of the photos it saw; `engine` is what was asked to compute tokens. With `load_truncated` it sees
    truncated photos as far as they go, with `keep_vast` the pictures of vast ones come along with its answers.
    """

    network: nn.Module
    config: ModelConfig
    device: torch.device
    learned: Learned | None = None
    precision: Precision = "float32"
    engine: Engine | None = None
    load_truncated: bool = False
    keep_vast: bool = False


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


def open_model(
    source: str | Path | None,
    *,
    fetch: Fetcher,
    device: str | None = "cpu",
    precision: Precision | None = None,
    engine: Engine | None = None,
) -> LoadedModel:
    """The network behind `source` in evaluation mode, with its facts; what is None of the rest is chosen."""
    name = model_source(source)
    found = find_source(name)
    network, config = found.read(fetch=fetch)
    chosen = choose_device(device)
    settled, _ = settle_precision(config, chosen, asked=precision)
    learned = read_learned(getattr(found, "path", Path(name)), network)
    return LoadedModel(network=network, config=config, device=chosen, learned=learned, precision=settled, engine=engine)


def open_own_model(run: RunDir, recipe: Recipe, *, device: str | None) -> LoadedModel:
    """The network that a run made, to see photos and be computed as the `recipe` asks; `device` is chosen when None."""
    asked = recipe.evaluate
    fetch = Fetcher(offline=True)
    opened = open_model(run.root, fetch=fetch, device=device, precision=asked.precision, engine=asked.engine)
    return replace(opened, load_truncated=recipe.data.load_truncated)


def settle_precision(
    config: ModelConfig, device: torch.device, *, asked: Precision | None = None
) -> tuple[Precision, str]:
    """The precision of the trunk on `device`, with the reason."""
    exact = "; on this device products of float32 numbers are TF32" if device.type == "cuda" else ""
    if asked is not None:
        return asked, f"as asked for{exact if asked == 'float32' else ''}"
    if config.precision == "float32":
        return "float32", f"what the model was measured in{exact}"
    if not has_native_bf16(device):
        return "float32", "no native bfloat16 here"
    found = config.agreement
    same = f", and {found.same} of {found.photos} validation photos got the same answers" if found else ""
    return "bfloat16", f"native on this device{same}"


def for_inference(
    network: nn.Module,
    device: torch.device,
    *,
    precision: Precision = "float32",
    photos: int = FEWEST_PHOTOS,
    engine: Engine | None = None,
) -> Network:
    """The network as it answers so many photos fastest on `device`, in evaluation mode; what is trained, saved or made
    to forget keeps its layers.

    In float32 all forms are the same but for rounding; on a GPU of NVIDIA its products are TF32. Of so many photos that
    it pays OpenVINO computes the tokens, where the extra is installed, unless an `engine` is asked for.
    """
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
    # Who asks of one photo need not wait for what folds and packs: nor for importing it.
    from pcn_cli.models.fast_trunk import keep_layers, make_fast

    make = make_fast if photos >= FEWEST_PHOTOS else keep_layers
    ready = make(network, device=device, precision=precision)
    if settle_engine(network, device, precision=precision, photos=photos, asked=engine)[0] == "openvino":
        from pcn_cli.models.openvino_trunk import with_openvino

        ready = with_openvino(network, ready, precision=precision)
    return cast("Network", ready)


def is_openvino_here() -> bool:
    """Whether openvino is installed; it is not imported."""
    return find_spec("openvino") is not None


def refuse_engine(engine: Engine | None, device: torch.device) -> None:
    """Refuse to compute by OpenVINO on another device than a processor, or where it is not installed.

    Raises:
        RecipeError: it is not for this device. ResourceError: it is not here.
    """
    if engine == "openvino" and device.type != "cpu":
        raise RecipeError(f"--engine openvino has no effect on {device}: it is for processors", "add --device cpu")
    if engine == "openvino" and not is_openvino_here():
        raise ResourceError("--engine openvino needs openvino", "pip install 'pcn-cli[cpu]'")


def settle_engine(
    network: nn.Module, device: torch.device, *, precision: Precision, photos: int, asked: Engine | None = None
) -> tuple[Engine, str]:
    """What computes the tokens of so many photos, each counted as often as it is looked at, with the reason.

    Raises:
        PcnError: what is `asked` for cannot, as `refuse_engine` says it.
    """
    refuse_engine(asked, device)
    if asked is not None:
        return asked, "as asked for"
    if device.type != "cpu":
        return "torch", "OpenVINO is for processors"
    if not is_openvino_here():
        return "torch", "OpenVINO is not installed; pip install 'pcn-cli[cpu]'"
    fewest = FEWEST_CONVERTED
    if isinstance(network, PatchConvNet):
        if precision == "float32":
            return "torch", "as fast in float32 as OpenVINO"
        fewest = FEWEST_CONVERTED_PATCHCONVNET
    if photos < fewest:
        return "torch", f"{photos:,} pictures are too few for converting the network to pay"
    return "openvino", f"{photos:,} pictures are enough for converting the network to pay"


def model_source(source: str | Path | None) -> str:
    """`source` with a run replaced by its model folder; the latest run when None.

    The name of a card comes before a run's, which is meant by ./NAME; a Path is never the name of a card.
    """
    if isinstance(source, Path) and look_up_card(str(source)):
        source = f"./{source}"
    if source is not None and (look_up_card(str(source)) or not RunDir(Path(source)).record.is_file()):
        return str(source)
    run = open_run(source)
    if not run.model.exists() and read_record(run).kind != "train":
        raise RunError(
            f"{run.root} holds answers, and no model of its own",
            "name the run that gave them; list them with `pcn runs`",
        )
    require(run, run.model, f"finish it with {command('finetune', '--resume', run.root)}")
    check_model(run)
    return str(run.model)
