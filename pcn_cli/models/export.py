"""A trained network as one file for other runtimes: uint8 pictures in; probabilities, decision and look map out.

The graph holds all that follows the resizing of a photo: normalisation, network, temperature, thresholds and map. What
else there is to know stands in the file's own metadata, as the keys of `facts`.
"""

import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from pcn_cli.errors import ModelError
from pcn_cli.models.fold_norms import fold_norms
from pcn_cli.records.model import ModelConfig
from pcn_cli.tensors.network import Network

OUTPUTS = ("probabilities", "decision", "map", "image_share", "unlike")
_INPUT = "pictures"
_LARGEST_BATCH = 4096


class Remembered(NamedTuple):
    """What a model remembers of the photos that it learned from; see `AnswerNetwork`."""

    features: Tensor
    bound: float
    nearest: int


class AnswerNetwork(nn.Module):
    """Answers to pictures that were resized as the model's preprocessing says.

    `network` is in evaluation mode. The outputs, of pictures (N, H, W, 3) uint8 RGB, or (N, H, W, 4) where the photo is
    padded, whose fourth channel is 0 in the padding:

        probabilities (N, K) float32, calibrated;
        decision (N,) int64, the class's number or −1 where the answer is withheld; with several labels (N, K) of 0, 1;
        map (N, h, w) float32, the look: ≥ 0, summing to 1;
        image_share (N,) float32: how much the pooling took from the picture rather than from its own class token;
        unlike (N,) float32: how far the photo lies from what was learned, more than 1 where it is unlike that.

    `learned` are the features (M, C) of length 1 that the model remembers, the distance at which `unlike` is 1, and
    over how many it is a mean, as `metrics/unlike.py` defines it; without it `unlike` is 0.
    """

    mean: Tensor
    std: Tensor
    cuts: Tensor
    known: Tensor

    def __init__(self, network: nn.Module, config: ModelConfig, learned: Remembered | None = None) -> None:
        super().__init__()
        self.network, self.config, self.remembered = network, config, learned
        self.register_buffer("known", learned.features.T.contiguous() if learned else None)
        self.register_buffer("mean", torch.tensor(config.preprocessing.mean))
        self.register_buffer("std", torch.tensor(config.preprocessing.std))
        self.register_buffer("cuts", torch.tensor(config.cuts))

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """The outputs, in the order of OUTPUTS."""
        network: Network = self.network  # type: ignore[assignment]
        tokens = network.forward_features(self.normalise(pictures).permute(0, 3, 1, 2))
        attended = network.attend_tokens(tokens, values=False)
        scaled = attended.logits / self.config.temperature
        probabilities = scaled.sigmoid() if self.config.multi_label else scaled.softmax(dim=1)
        best = attended.logits.argmax(dim=1)
        looks, shares = self.look(attended.weights, best, attended.grid)
        return probabilities, self.decide(probabilities, best), looks, shares, self.distance(tokens.mean(dim=(2, 3)))

    def normalise(self, pictures: Tensor) -> Tensor:
        """The network's input, channels last: (value / 255 − mean) / std, and 0 in the padding."""
        images = (pictures[..., :3].float() / 255 - self.mean) / self.std
        return images * (pictures[..., 3:] > 0) if self.config.preprocessing.fit == "pad" else images

    def decide(self, probabilities: Tensor, best: Tensor) -> Tensor:
        """The decision, by the model's thresholds."""
        if self.config.multi_label:
            return (probabilities >= self.cuts).long()
        threshold = self.config.selection.threshold if self.config.selection else None
        if threshold is None:
            return best
        return torch.where(probabilities.amax(dim=1) >= threshold, best, -1)

    def look(self, weights: Tensor, best: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """The look maps (N, h, w) and the image shares (N,), as `attention/maps.py` defines them."""
        count = grid[0] * grid[1]
        if weights.shape[1] > 1:  # every class has a token of its own: that of the best
            weights = weights.gather(1, best[:, None, None].expand(-1, 1, weights.shape[2]))
        patches = weights[:, 0, -count:]
        total = patches.sum(dim=1, keepdim=True)
        looks = torch.where(total > 0, patches / total, torch.full_like(patches, 1 / count))
        return looks.reshape(-1, *grid), total[:, 0].clamp(0, 1)

    def distance(self, features: Tensor) -> Tensor:
        """How far mean tokens (N, C) lie from what was learned, (N,)."""
        if self.remembered is None:
            return features[:, 0] * 0
        alike = F.normalize(features, dim=1, eps=1e-12) @ self.known
        return (
            1 - alike.topk(min(self.remembered.nearest, alike.shape[1]), dim=1).values.mean(dim=1)
        ) / self.remembered.bound


def trace_answers(network: nn.Module, config: ModelConfig, learned: Remembered | None = None) -> ExportedProgram:
    """`network` with all that makes answers of its logits, as torch traces it, for a batch of any size.

    Raises:
        ModelError: it computes something that cannot be traced.
    """
    answers = AnswerNetwork(fold_norms(network).cpu(), config, learned).eval().requires_grad_(False)
    size = config.preprocessing
    channels = 4 if size.fit == "pad" else 3
    pictures = torch.zeros(2, size.height, size.width, channels, dtype=torch.uint8)
    batch = Dim("batch", min=1, max=_LARGEST_BATCH)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what torch itself uses
            program = torch.export.export(answers, (pictures,), dynamic_shapes=({0: batch},))
    except Exception as error:
        words = " ".join(str(error).split())[:200]
        raise ModelError(f"{config.architecture} cannot be traced for an export: {words}") from error
    for module in program.graph_module.modules():
        for node in getattr(getattr(module, "graph", None), "nodes", ()):
            node.meta.pop("stack_trace", None)  # in which file of this machine it was made: nobody's business
    return program


def write_torch(path: Path, program: ExportedProgram, facts: Mapping[str, str]) -> None:
    """Put the program at `path` as PyTorch's own `.pt2`, with the facts as its extra files."""
    torch.export.save(program, path, extra_files=dict(facts))


def write_onnx(path: Path, program: ExportedProgram, facts: Mapping[str, str]) -> None:
    """Put the program at `path` as ONNX, checked by onnx itself, with the facts as its `metadata_props`."""
    import onnx

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = torch.onnx.export(program, dynamo=True, input_names=[_INPUT], output_names=list(OUTPUTS), verbose=False)
    assert made is not None  # noqa: S101 - with dynamo it is a program
    model = made.model_proto
    # What torch's exporter tells of itself, at every node.
    for part in (model, model.graph, *model.graph.node, *model.graph.initializer, *model.graph.value_info):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    for part in (*model.graph.input, *model.graph.output):
        part.ClearField("metadata_props")
    for function in model.functions:
        function.ClearField("metadata_props")
        for node in function.node:
            node.ClearField("metadata_props")
    onnx.helper.set_model_props(model, dict(facts))
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def write_openvino(path: Path, program: ExportedProgram, facts: Mapping[str, str]) -> None:
    """Put the program at `path`, an `.xml`, as OpenVINO's IR with the `.bin` beside it; the facts are its `rt_info`."""
    import openvino

    with tempfile.TemporaryDirectory() as folder:
        onnx = Path(folder) / "model.onnx"
        write_onnx(onnx, program, {})
        model = openvino.Core().read_model(onnx)  # not convert_model, which tells its makers that it was used
        for key, value in facts.items():
            model.set_rt_info(value, ["pcn", key])
        openvino.save_model(model, path, compress_to_fp16=False)


Writer = Callable[[Path, ExportedProgram, Mapping[str, str]], None]
WRITERS: Mapping[str, Writer] = {".onnx": write_onnx, ".xml": write_openvino, ".pt2": write_torch}
