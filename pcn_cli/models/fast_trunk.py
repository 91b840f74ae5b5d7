"""A network in the form that answers fastest, the same but for rounding: what is fixed is worked into the weights.

LayerScale and the affine part of a block's LayerNorm go into the 1×1 convolutions beside them, batch norms into the
convolutions before them, and on a processor oneDNN's convolutions apply GELU and add the residual before they write.
Behind the tokens it is the network itself, in float32, so that maps and heads are what they were.
"""

import copy
from collections.abc import Callable
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pcn_cli.models.head import mirrored
from pcn_cli.models.patchconvnet import Block, PatchConvNet
from pcn_cli.models.pooling import LAYER_NORM_EPS
from pcn_cli.records.arithmetic import Precision
from pcn_cli.tensors.network import Attended, Network
from pcn_cli.tensors.private import PackedConv2d, can_pack

# Photos at once from which fused float32 convolutions are the faster ones; in bfloat16 they always are.
FUSED_FROM = 8
# Photos at once through a backbone with batch norms on a processor. Of 32 the widest maps of a mobile network take
# 150 MB, which the system gives page by page each time: a quarter of a pass of mobilenetv2_100, a third of
# tf_efficientnet_lite2.
TOGETHER = 8

Trunk = Callable[[Tensor], Tensor]


class FastNetwork(nn.Module):
    """`network` with its tokens made by `trunk`, a function of images (B, 3, H, W) that gives float32 ones."""

    def __init__(self, network: nn.Module, trunk: Trunk) -> None:
        super().__init__()
        self.network, self._trunk = network, trunk
        self.training = network.training

    def forward_features(self, images: Tensor) -> Tensor:
        """The tokens (B, C, h, w) of images (B, 3, H, W), channels-last in memory."""
        return self._trunk(images.contiguous(memory_format=torch.channels_last))

    def forward(self, images: Tensor) -> Tensor:
        """The logits (B, num_classes) of images (B, 3, H, W)."""
        return cast("Network", self.network).forward_head(self.forward_features(images))

    def attend(self, images: Tensor, *, values: bool = True) -> Attended:
        """The logits and where they came from; without `values` it costs no more than the logits."""
        return cast("Network", self.network).attend_tokens(self.forward_features(images), values=values)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the network has
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("network"), name)


@torch.inference_mode(mode=False)
def make_fast(network: nn.Module, *, device: torch.device, precision: Precision) -> nn.Module:
    """`network`, which is moved to `device`, in the form that answers fastest there, in evaluation mode.

    It is for answering alone, and stands for the weights that the network has now.
    """
    bfloat16 = precision == "bfloat16"
    if not isinstance(network, PatchConvNet):
        from pcn_cli.models.fold_norms import fold_norms  # by way of timm, of which a PatchConvNet needs nothing

        ready = _moved(fold_norms(network), device)
        trunk: Trunk = cast("Network", ready).forward_features
        if ready is not network and device.type == "cpu":
            return FastNetwork(ready, _in_pieces(_in_bfloat16(trunk, device) if bfloat16 else trunk))
        return FastNetwork(ready, _in_bfloat16(trunk, device)) if bfloat16 else cast("nn.Module", ready)
    ready = _moved(network, device)
    folded = FoldedTrunk(ready).to(memory_format=torch.channels_last)
    if device.type != "cpu" or not can_pack(torch.bfloat16 if bfloat16 else torch.float32):
        return FastNetwork(ready, _in_bfloat16(folded, device) if bfloat16 else folded)
    if bfloat16:
        return FastNetwork(ready, FusedTrunk(folded, torch.bfloat16))
    fused = FusedTrunk(folded, torch.float32)
    return FastNetwork(ready, lambda images: (fused if len(images) >= FUSED_FROM else folded)(images))


@torch.inference_mode(mode=False)
def keep_layers(network: nn.Module, *, device: torch.device, precision: Precision) -> nn.Module:
    """`network` as it is, moved to `device`, in evaluation mode: for so few photos that folding does not pay."""
    ready: nn.Module = _moved(network, device)
    if precision == "float32":
        return ready
    return FastNetwork(ready, _in_bfloat16(cast("Network", ready).forward_features, device))


def _moved(network: Any, device: torch.device) -> Any:  # noqa: ANN401 - the network itself
    return network.to(device=device, memory_format=torch.channels_last).eval()


def _in_pieces(trunk: Trunk) -> Trunk:
    """The trunk with some photos at once, so that no layer's map takes more memory than the heap keeps."""

    def compute(images: Tensor) -> Tensor:
        pieces = [trunk(piece) for piece in torch.split(images, TOGETHER)]
        return torch.cat(pieces).contiguous(memory_format=torch.channels_last) if len(pieces) > 1 else pieces[0]

    return compute


def _in_bfloat16(trunk: Trunk, device: torch.device) -> Trunk:
    """The trunk in mixed precision, where what is summed stays in float32."""

    def compute(images: Tensor) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16):
            tokens = trunk(images)
        return tokens.float().contiguous(memory_format=torch.channels_last)

    return compute


class FoldedTrunk(nn.Module):
    """Stem and blocks of a PatchConvNet without scales of their own: images (B, 3, H, W) → tokens (B, d, h, w).

    What needs no folding is shared with the network.
    """

    def __init__(self, network: PatchConvNet) -> None:
        super().__init__()
        self.stem, self.mirror = network.stem, network.mirror
        self.blocks = nn.ModuleList(FoldedBlock(cast("Block", block)) for block in network.blocks)

    def forward(self, images: Tensor) -> Tensor:
        """The tokens, channels-last in memory; what the blocks add up stays in the precision of the images."""
        return mirrored(self._compute, images) if self.mirror else self._compute(images)

    def extra_repr(self) -> str:
        """What is not to be seen by the layers."""
        return "mirror" if self.mirror else ""

    def _compute(self, images: Tensor) -> Tensor:
        tokens: Tensor = self.stem(images).to(images.dtype)
        for block in self.blocks:
            tokens = block(tokens)
        return tokens


class FoldedBlock(nn.Module):
    """A block's x + f(LN(x)), its scales worked into the first and the last convolution of f."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        first, last, norm = block.conv_pw, block.conv_pwl, block.norm
        matrix, gamma = _exactly(first.weight), _exactly(block.gamma)
        shift = matrix[:, :, 0, 0] @ _exactly(norm.bias)
        scaled = matrix * _exactly(norm.weight)[:, None, None]
        self.conv_pw = _convolution(first, scaled, _exactly(_bias(first)) + shift)
        self.conv_dw = _convolution(block.conv_dw, block.conv_dw.weight.detach(), _bias(block.conv_dw))
        self.se = block.se
        outgoing = _exactly(last.weight) * gamma[:, None, None, None]
        self.conv_pwl = _convolution(last, outgoing, _exactly(_bias(last)) * gamma)

    def forward(self, tokens: Tensor) -> Tensor:
        """The grid one block deeper, of the same shape."""
        x = _standardise(tokens)
        x = F.gelu(self.conv_pw(x))
        x = F.gelu(self.conv_dw(x))
        branch: Tensor = self.conv_pwl(self.se(x))
        return tokens + branch


class FusedTrunk:
    """The same on a processor, by oneDNN's own convolutions in `dtype`; its weights are packed copies.

    With bfloat16 the blocks also add up in it: measured on S60 the logits move by 1.7 in a thousand rather than 1.5.
    """

    def __init__(self, trunk: FoldedTrunk, dtype: torch.dtype) -> None:
        stem = list(trunk.stem)
        self.dtype, self.mirror = dtype, trunk.mirror
        self.stem = [PackedConv2d(cast("nn.Conv2d", one), dtype, gelu=one is not stem[-1]) for one in stem]
        self.blocks = [_FusedBlock(cast("FoldedBlock", block), dtype) for block in trunk.blocks]

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Tokens (B, d, h, w) float32 of images (B, 3, H, W), channels-last in memory."""
        return mirrored(self._compute, images) if self.mirror else self._compute(images)

    def _compute(self, images: Tensor) -> Tensor:
        tokens = images.to(self.dtype)
        for convolution in self.stem:
            tokens = convolution(tokens)
        for block in self.blocks:
            tokens = block(tokens)
        return tokens.float()


class _FusedBlock:
    def __init__(self, block: FoldedBlock, dtype: torch.dtype) -> None:
        self.conv_pw = PackedConv2d(block.conv_pw, dtype, gelu=True)
        self.conv_dw = PackedConv2d(block.conv_dw, dtype, gelu=True)
        self.conv_pwl = PackedConv2d(block.conv_pwl, dtype)
        squeeze, excite = (cast("nn.Conv2d", block.se.get_submodule(name)) for name in ("conv_reduce", "conv_expand"))
        self.squeeze = squeeze.weight.detach()[:, :, 0, 0].to(dtype), _bias(squeeze).to(dtype)
        self.excite = excite.weight.detach()[:, :, 0, 0].to(dtype), _bias(excite).to(dtype)

    def __call__(self, tokens: Tensor) -> Tensor:
        """The grid one block deeper; `tokens` become it."""
        x = self.conv_dw(self.conv_pw(_standardise(tokens)))
        gate = torch.sigmoid(F.linear(F.relu(F.linear(x.mean(dim=(2, 3)), *self.squeeze)), *self.excite))
        return self.conv_pwl.add_to(tokens, x * gate[:, :, None, None])


def _standardise(tokens: Tensor) -> Tensor:
    """Mean 0 and variance 1 over the channels of each token; views, because memory is channels-last."""
    return F.layer_norm(tokens.permute(0, 2, 3, 1), (tokens.shape[1],), eps=LAYER_NORM_EPS).permute(0, 3, 1, 2)


def _exactly(tensor: Tensor) -> Tensor:
    """Its numbers in float64, so that what is made of them is exact to the last bit but one."""
    own = tensor.detach()
    return (own.cpu() if own.device.type == "mps" else own).double()  # which has no float64


def _bias(convolution: nn.Conv2d) -> Tensor:
    assert convolution.bias is not None  # noqa: S101 - those of a block have one
    return convolution.bias.detach()


def _convolution(like: nn.Conv2d, weight: Tensor, bias: Tensor) -> nn.Conv2d:
    """A convolution of the shape of another."""
    made, dtype, device = copy.deepcopy(like), like.weight.dtype, like.weight.device
    made.weight = nn.Parameter(weight.to(dtype).to(device), requires_grad=False)
    made.bias = nn.Parameter(bias.to(dtype).to(device), requires_grad=False)
    return made
