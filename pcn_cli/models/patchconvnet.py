"""PatchConvNet: a column of convolutional blocks on a constant patch grid, then one attention pooling.

Touvron et al. 2021, arXiv:2112.13692; written from its description, with names of its own (`published.py` maps them).
Grids are (B, C, h, w) and channels-last in memory, so that LayerNorm sees a view and nothing is copied. Any input size;
no batch norm.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from pcn_cli.models.head import AttentionNetwork, make_head
from pcn_cli.models.layers import DropPath, SqueezeExcite
from pcn_cli.models.pooling import LAYER_NORM_EPS, AttentionPooling
from pcn_cli.records.model import PatchGrid
from pcn_cli.tensors.private import feature_take_indices

STRIDE = 16
# Blocks whose activations are computed again together, when memory matters more than time.
CHECKPOINT_BLOCKS = 8


class PatchConvNet(AttentionNetwork):
    """The network: stem, trunk, attention pooling, norm, head.

    `model(images)` is the logits (B, num_classes) of images (B, in_chans, H, W); the grid is ceil(H/16) × ceil(W/16).

    Args:
        class_tokens: one class token per class, each with a logit of its own.
        mirror: answer from an image and its mirror image together.
        layer_scale: initial gamma of all residual branches.
        drop_path_rate: stochastic depth of the trunk, constant over depth.
        drop_rate: dropout in the pooling's projection and MLP.
    """

    pooling_prefixes = ("pooling.", "norm.", "head.")

    def __init__(
        self,
        *,
        embed_dim: int = 384,
        depth: int = 60,
        num_classes: int = 1000,
        class_tokens: bool = False,
        mirror: bool = False,
        layer_scale: float = 1e-4,
        in_chans: int = 3,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ) -> None:
        super().__init__()
        if embed_dim % 8 or embed_dim < 8:
            raise ValueError(f"embed_dim must be a multiple of 8, found {embed_dim}")
        self.embed_dim = self.num_features = self.head_hidden_size = embed_dim
        self.num_classes = num_classes
        self.class_tokens, self.mirror = class_tokens, mirror
        self.grad_checkpointing = False
        self.stem = Stem(embed_dim, in_chans)
        self.blocks = nn.ModuleList(
            Block(embed_dim, layer_scale=layer_scale, drop_path_rate=drop_path_rate) for _ in range(depth)
        )
        tokens = max(num_classes, 1) if class_tokens else None
        self.pooling = AttentionPooling(embed_dim, class_tokens=tokens, layer_scale=layer_scale, drop_rate=drop_rate)
        self.norm = nn.LayerNorm(embed_dim, eps=LAYER_NORM_EPS)
        self.head = make_head(embed_dim, num_classes, class_tokens=class_tokens)
        self.pretrained_cfg: dict[str, Any] = {}
        self.feature_info = [{"num_chs": embed_dim, "reduction": STRIDE, "module": f"blocks.{i}"} for i in range(depth)]

    def forward_trunk(self, images: Tensor) -> Tensor:
        """The trunk's tokens (B, d, h, w), channels-last in memory; token (r, c) is centred on pixel (16c, 16r)."""
        tokens = self._embed(images)
        if self.grad_checkpointing and torch.is_grad_enabled():
            for start in range(0, len(self.blocks), CHECKPOINT_BLOCKS):
                blocks = self.blocks[start : start + CHECKPOINT_BLOCKS]
                tokens = checkpoint(nn.Sequential(*blocks), tokens, use_reentrant=False)
            return tokens
        for block in self.blocks:
            tokens = block(tokens)
        return tokens

    def measure_patch_grid(self, height: int, width: int) -> PatchGrid:  # noqa: ARG002
        """Where the patches lie: token (r, c) is centred on pixel (16c, 16r) whatever the size."""
        return PatchGrid(stride=float(STRIDE), offset=0.5)

    def forward_intermediates(
        self,
        x: Tensor,
        indices: int | list[int] | None = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ) -> list[Tensor] | tuple[Tensor, list[Tensor]]:
        """The outputs of chosen blocks, as timm gives them.

        Raises:
            ValueError: `norm` is set, but the last norm is the class token's, not the patches'.
        """
        if norm or output_fmt not in ("NCHW", "NHWC"):
            raise ValueError(f"expected norm=False and NCHW or NHWC, found norm={norm} and {output_fmt}")
        wanted, last = feature_take_indices(len(self.blocks), indices)
        tokens = self._embed(x)
        intermediates = []
        for i, block in enumerate(self.blocks):
            if i > last and stop_early and intermediates_only:
                break
            again = self.grad_checkpointing and torch.is_grad_enabled()
            tokens = checkpoint(block, tokens, use_reentrant=False) if again else block(tokens)
            if i in wanted:
                intermediates.append(tokens if output_fmt == "NCHW" else tokens.permute(0, 2, 3, 1))
        return intermediates if intermediates_only else (tokens, intermediates)

    def prune_intermediate_layers(
        self, indices: int | list[int] = 1, prune_norm: bool = False, prune_head: bool = True
    ) -> list[int]:
        """The indices kept, after dropping the blocks behind the last of them and, with `prune_head`, the pooling."""
        wanted, last = feature_take_indices(len(self.blocks), indices)
        self.blocks = self.blocks[: last + 1]
        if prune_norm:
            self.add_module("norm", nn.Identity())
        if prune_head:
            self.add_module("pooling", nn.Identity())
            self.reset_classifier(0)
        return list(wanted)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Compute activations twice to save memory."""
        self.grad_checkpointing = enable

    def compilable(self) -> tuple[nn.Module, ...]:
        """The stem and each block: alike in shape, the blocks are compiled once for all."""
        return (self.stem, *self.blocks)

    def no_weight_decay(self) -> set[str]:
        """Names of parameters that must not decay, beside the one-dimensional ones."""
        return {"pooling.cls_token"}

    def group_matcher(self, coarse: bool = False) -> dict[str, str]:
        """Patterns that give the stem, each block, and everything behind the tokens a layer of its own."""
        return {"stem": r"^stem", "blocks": r"^blocks" if coarse else r"^blocks\.(\d+)"}

    def _embed(self, images: Tensor) -> Tensor:
        tokens: Tensor = self.stem(images.contiguous(memory_format=torch.channels_last))
        # The residual stream keeps the precision of LayerScale: float32 in mixed precision.
        return tokens.to(next(self.stem.parameters()).dtype)


class Stem(nn.ModuleList):
    """Four 3×3 convolutions of stride 2, GELU between them: (B, 3, H, W) → (B, d, ceil(H/16), ceil(W/16))."""

    def __init__(self, embed_dim: int, in_chans: int = 3) -> None:
        widths = (in_chans, embed_dim // 8, embed_dim // 4, embed_dim // 2, embed_dim)
        super().__init__(
            nn.Conv2d(widths[i], widths[i + 1], 3, stride=2, padding=1, bias=False) for i in range(len(widths) - 1)
        )
        # torch's own start shrinks the picture to a hundredth on its way, where GELU is a straight line.
        for convolution in self.children():
            nn.init.kaiming_normal_(convolution.get_parameter("weight"), nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """The tokens that enter the trunk; no activation after the last convolution."""
        first, *others = self
        tokens: Tensor = first(images)
        for convolution in others:
            tokens = convolution(F.gelu(tokens))
        return tokens


class Block(nn.Module):
    """x + drop_path(gamma · f(LN(x))) with f: 1×1 → GELU → depthwise 3×3 → GELU → squeeze-excite → 1×1."""

    def __init__(self, embed_dim: int, *, layer_scale: float, drop_path_rate: float = 0.0) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((embed_dim,), layer_scale))
        self.norm = nn.LayerNorm(embed_dim, eps=LAYER_NORM_EPS)
        self.conv_pw = nn.Conv2d(embed_dim, embed_dim, 1)
        self.conv_dw = nn.Conv2d(embed_dim, embed_dim, 3, padding=1, groups=embed_dim)
        self.se = SqueezeExcite(embed_dim)
        self.conv_pwl = nn.Conv2d(embed_dim, embed_dim, 1)
        self.drop_path = DropPath(drop_path_rate) if drop_path_rate else nn.Identity()

    def forward(self, tokens: Tensor) -> Tensor:
        """The grid one block deeper, of the same shape."""
        if self.training and tokens.device.type == "cpu":  # on a card small weights would be lost in float16
            branch: Tensor = self.drop_path(self._compute_scaled(tokens).to(tokens.dtype))
            return tokens + branch
        x = self.norm(tokens.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)  # views: memory is channels-last
        x = F.gelu(self.conv_pw(x))
        x = F.gelu(self.conv_dw(x))
        x = self.conv_pwl(self.se(x))
        branch = self.drop_path(self.gamma[:, None, None] * x)
        return tokens + branch

    def _compute_scaled(self, tokens: Tensor) -> Tensor:
        """Gamma · f(LN(x)) with the norm's and LayerScale's parameters worked into the convolutions beside them.

        The same but for rounding, as are the gradients; what they cost no longer grows with photos and patches.
        """
        first, last = self.conv_pw, self.conv_pwl
        x = tokens.permute(0, 2, 3, 1)
        x = F.layer_norm(x, x.shape[3:], eps=self.norm.eps).permute(0, 3, 1, 2)
        # A sum of products, where a product of matrices would be rounded to bfloat16 in mixed precision.
        shift = (first.weight[:, :, 0, 0] * self.norm.bias).sum(dim=1)
        x = F.gelu(F.conv2d(x, first.weight * self.norm.weight[:, None, None], first.get_parameter("bias") + shift))
        x = self.se(F.gelu(self.conv_dw(x)))
        return F.conv2d(x, last.weight * self.gamma[:, None, None, None], last.get_parameter("bias") * self.gamma)
