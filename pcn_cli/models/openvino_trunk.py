"""The trunk of a network in OpenVINO, on a processor: made of what torch exports of it, for images of one size.

The first photos are computed by both: where the tokens differ, torch goes on alone. Converting takes ten seconds and
more, so what comes of it is kept for later. openvino is an extra: this file is imported where it is to compute.
"""

import hashlib
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from pcn_cli import __version__
from pcn_cli.files.cache import FOLDERS, FileCache
from pcn_cli.files.folder import cache_folder
from pcn_cli.models.fast_trunk import TOGETHER, FastNetwork, FoldedTrunk, Trunk
from pcn_cli.models.patchconvnet import PatchConvNet
from pcn_cli.records.arithmetic import Precision
from pcn_cli.tensors.network import Network

logger = logging.getLogger(__name__)

# How far the tokens of the first photos may be from torch's, relatively. Measured: 2e-6 in float32; in bfloat16 both of
# them round.
AGREED = {"float32": 1e-4, "bfloat16": 0.03}
_KEPT_BYTES = 2 * 2**30
_HINTS = {"float32": "f32", "bfloat16": "bf16"}


def with_openvino(network: nn.Module, fast: nn.Module, *, precision: Precision) -> nn.Module:
    """`fast`, a form of `network` that answers on a processor, with its tokens computed by OpenVINO where these agree.

    Nothing is converted before the first images come.
    """
    folded = fast.network if isinstance(fast, FastNetwork) else fast  # norms need not be folded once more
    return FastNetwork(network, OpenVinoTrunk(folded, cast("Network", fast).forward_features, precision))


class OpenVinoTrunk:
    """Images (B, 3, H, W) → tokens (B, C, h, w) float32, both channels-last; by `own` where OpenVINO cannot."""

    def __init__(self, network: nn.Module, own: Trunk, precision: Precision) -> None:
        self._network, self._own, self._precision = network, own, precision
        self._compiled: dict[tuple[int, ...], Any] = {}

    def __call__(self, images: Tensor) -> Tensor:
        """The tokens."""
        size = tuple(images.shape[2:])
        if size not in self._compiled:
            self._compiled[size] = self._prove(images)
        return self._own(images) if self._compiled[size] is None else _compute(self._compiled[size], images)

    def _prove(self, images: Tensor) -> Any:  # noqa: ANN401 - openvino's
        """The compiled trunk; None where it cannot be made, or gives other tokens of `images`."""
        images = images[:TOGETHER]
        expected = self._own(images)
        try:
            compiled = _compile(_Exported(self._network), images, precision=self._precision)
            apart = float((_compute(compiled, images) - expected).norm() / expected.norm())
        except Exception as error:  # noqa: BLE001 - of many kinds, and torch computes all of it too
            logger.warning("openvino cannot compute this network, torch does: %s", " ".join(str(error).split())[:200])
            return None
        if not apart <= AGREED[self._precision]:  # nor where they are not finite
            logger.warning("openvino's tokens differ by %.2g, torch computes them", apart)
            return None
        return compiled


class _Exported(nn.Module):
    """The trunk as it is converted: pictures (B, H, W, 3) → tokens (B, h, w, C), as both lie in memory."""

    @torch.inference_mode(mode=False)
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        if isinstance(network, PatchConvNet):
            self.trunk: nn.Module = FoldedTrunk(network)
        else:
            from pcn_cli.models.fold_norms import fold_norms  # by way of timm

            self.trunk = fold_norms(network)
        self.eval()

    def forward(self, pictures: Tensor) -> Tensor:
        images = pictures.permute(0, 3, 1, 2)
        own = isinstance(self.trunk, FoldedTrunk)
        tokens: Tensor = self.trunk(images) if own else cast("Network", self.trunk).forward_features(images)
        return tokens.permute(0, 2, 3, 1)


def _compute(compiled: Any, images: Tensor) -> Tensor:  # noqa: ANN401 - openvino's
    """The tokens, some photos at once: 32 in one pass take a sixth longer than in four, with mobilenetv2_100."""
    pictures = images.permute(0, 2, 3, 1).contiguous().numpy()
    pieces = [compiled(pictures[first : first + TOGETHER])[0] for first in range(0, len(pictures), TOGETHER)]
    return torch.from_numpy(np.concatenate(pieces)).permute(0, 3, 1, 2)


def _compile(trunk: nn.Module, images: Tensor, *, precision: Precision) -> Any:  # noqa: ANN401 - openvino's
    """The trunk for images of this size, in any number; converted, or as it was kept when it was converted before."""
    import openvino

    # In one of the cache's folders, so that what all of them take together is bounded.
    cache, key = FileCache(folder=cache_folder("openvino"), limit=FOLDERS * _KEPT_BYTES), f"00{_hash(trunk, images)}"
    content = cache.read_bytes(key)
    if content is None:
        content = _convert(trunk, images)
        cache.write_bytes(key, content)
    end = 8 + int.from_bytes(content[:8], "little")
    model = openvino.Core().read_model(content[8:end], openvino.Tensor(np.frombuffer(content, np.uint8, offset=end)))
    settings = {"INFERENCE_PRECISION_HINT": _HINTS[precision], "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    return openvino.Core().compile_model(model, "CPU", settings)


def _hash(trunk: nn.Module, images: Tensor) -> str:
    """What the converted trunk depends on: weights, layers, size and versions; not what stands behind the tokens."""
    behind = tuple(f"trunk.{prefix}" for prefix in getattr(trunk.trunk, "pooling_prefixes", ()))
    facts = (__version__, version("openvino"), torch.__version__, tuple(images.shape[2:]))
    found = hashlib.sha256(repr(facts).encode())
    for name, module in trunk.named_modules():
        if not f"{name}.".startswith(behind):
            found.update(f"{name} {type(module).__qualname__} {module.extra_repr()} ".encode())
    for name, tensor in (*trunk.named_parameters(), *trunk.named_buffers()):
        if name.startswith(behind):
            continue
        found.update(name.encode())
        found.update(tensor.detach().contiguous().numpy().data)
    return found.hexdigest()


@torch.inference_mode(mode=False)
def _convert(trunk: nn.Module, images: Tensor) -> bytes:
    """The trunk as OpenVINO's IR: the length of its text in 8 bytes, the text, its weights."""
    import openvino
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.fx_decoder import TorchFXPythonDecoder

    height, width = images.shape[2:]
    with _quiet(), torch.no_grad():
        pictures = torch.zeros(2, height, width, 3)
        program: ExportedProgram = torch.export.export(
            trunk, (pictures,), dynamic_shapes=({0: Dim("batch", min=1, max=4096)},)
        )
        # Not by convert_model, which tells its makers that it was used.
        frontend = FrontEndManager().load_by_framework("pytorch")
        decoder = TorchFXPythonDecoder.from_exported_program(program)  # has to live as long as the conversion
        model = frontend.convert(frontend.load(decoder))
    model.reshape([-1, height, width, 3])
    with tempfile.TemporaryDirectory(prefix="pcn-openvino-") as folder:
        path = Path(folder) / "trunk.xml"
        openvino.save_model(model, path, compress_to_fp16=False)
        text, weights = path.read_bytes(), path.with_suffix(".bin").read_bytes()
    return len(text).to_bytes(8, "little") + text + weights


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what openvino and torch warn of while they convert: operations that other networks would have."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
