"""PatchConvNet: a column of convolutional blocks on a constant patch grid, then one attention pooling.

Touvron et al. 2021, arXiv:2112.13692; written from its description, with names of its own (`published.py` maps them).
Everything runs channels-last: LayerNorm sees views, no permuted copy is made. Any input size; no batch norm.
"""

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from pcn_cli.models.blocks import LAYER_NORM_EPS, Block, Stem, make_head
from pcn_cli.models.pooling import AttentionPooling
from pcn_cli.records.model import PatchGrid
from pcn_cli.tensors.network import Attended
from pcn_cli.tensors.private import feature_take_indices

STRIDE = 16
# Blocks whose activations are computed again together, when memory matters more than time.
CHECKPOINT_BLOCKS = 8


class PatchConvNet(nn.Module):
    """The network: stem, trunk, attention pooling, norm, head.

    `model(images)` is the logits (B, num_classes) of images (B, in_chans, H, W); the grid is ceil(H/16) × ceil(W/16).

    Args:
        class_tokens: one class token per class, each with a logit of its own.
        layer_scale: initial gamma of all residual branches.
        drop_path_rate: stochastic depth of the trunk, constant over depth.
        drop_rate: dropout in the pooling's projection and MLP; attn_drop_rate: on its weights.
    """

    patch_grid = PatchGrid(stride=float(STRIDE), offset=0.5)
    pooling_prefixes: tuple[str, ...] = ("pooling.", "norm.", "head.")

    def __init__(
        self,
        *,
        embed_dim: int = 384,
        depth: int = 60,
        num_classes: int = 1000,
        class_tokens: bool = False,
        layer_scale: float = 1e-4,
        in_chans: int = 3,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ) -> None:
        super().__init__()
        if embed_dim % 8 or embed_dim < 8:
            raise ValueError(f"embed_dim must be a multiple of 8, found {embed_dim}")
        self.embed_dim = self.num_features = self.head_hidden_size = embed_dim
        self.num_classes = num_classes
        self.in_chans = in_chans
        self.class_tokens = class_tokens
        self.drop_rate = drop_rate
        self.grad_checkpointing = False
        self.stem = Stem(embed_dim, in_chans)
        self.blocks = nn.ModuleList(
            Block(embed_dim, layer_scale=layer_scale, drop_path_rate=drop_path_rate) for _ in range(depth)
        )
        self.pooling = AttentionPooling(
            embed_dim,
            class_tokens=max(num_classes, 1) if class_tokens else None,
            layer_scale=layer_scale,
            drop_rate=drop_rate,
            attn_drop_rate=attn_drop_rate,
        )
        self.norm = nn.LayerNorm(embed_dim, eps=LAYER_NORM_EPS)
        self.head = make_head(embed_dim, num_classes, class_tokens=class_tokens)
        self.feature_info = [{"num_chs": embed_dim, "reduction": STRIDE, "module": f"blocks.{i}"} for i in range(depth)]

    def forward(self, images: Tensor) -> Tensor:
        """The logits (B, num_classes)."""
        return self.forward_head(self.forward_features(images))

    def forward_features(self, images: Tensor) -> Tensor:
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

    def forward_head(self, tokens: Tensor, pre_logits: bool = False) -> Tensor:
        """The logits for trunk tokens (B, d, h, w); with `pre_logits` what the head would see, (B, d) or (B, K, d)."""
        return self._classify(self.pooling(tokens).tokens, pre_logits)

    def attend(self, images: Tensor) -> Attended:
        """The logits and where they came from."""
        return self.attend_tokens(self.forward_features(images))

    def attend_tokens(self, tokens: Tensor) -> Attended:
        """The logits and where they came from, for trunk tokens (B, d, h, w)."""
        pooled = self.pooling(tokens)
        grid = (tokens.shape[2], tokens.shape[3])
        return Attended(self._classify(pooled.tokens), pooled.weights, self.pooling.value(tokens), grid)

    def tail(self, pooled: Tensor) -> Tensor:
        """The logits once the weighted sum of values (…, T, d) is known: hiding patches is closed form."""
        return self._classify(self.pooling.finish(pooled))

    def class_tail(self, pooled: Tensor, classes: Tensor) -> Tensor:
        """With class tokens, the logits (B, S, k) of `classes` (B, k) from their weighted sums (B, S, k, d) alone."""
        tokens = self.norm(self.pooling.finish(pooled, classes[:, None]))
        logits: Tensor = self.head(tokens, classes[:, None])
        return logits

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
            tokens = block(tokens)
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

    def get_classifier(self) -> nn.Module:
        """The head."""
        return self.head

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Start a new head for `num_classes` (0: none); with class tokens also new tokens.

        Raises:
            ValueError: `global_pool` asks for another pooling; the attention pooling is the network.
        """
        if global_pool not in (None, "token"):
            raise ValueError(f"the pooling cannot be changed to {global_pool!r}")
        reference = next(self.stem.parameters())
        self.num_classes = num_classes
        self.head = make_head(self.embed_dim, num_classes, class_tokens=self.class_tokens).to(
            reference.device, reference.dtype
        )
        if self.class_tokens and num_classes:
            self.pooling.reset_class_tokens(num_classes)

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

    def _classify(self, cls: Tensor, pre_logits: bool = False) -> Tensor:
        features: Tensor = self.norm(cls)  # (…, T, d)
        if not self.class_tokens:
            features = features.squeeze(-2)
        logits: Tensor = features if pre_logits else self.head(features)
        return logits
