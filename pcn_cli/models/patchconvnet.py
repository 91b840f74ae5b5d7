"""PatchConvNet: a column of convolutional blocks on a constant patch grid, then one attention pooling.

Touvron et al. 2021, arXiv:2112.13692; written from its description, with names of its own (`published.py` maps them).
Everything runs channels-last: LayerNorm sees views, no permuted copy is made. Any input size; no batch norm.
"""

from collections.abc import Mapping
from typing import Any

import torch
from timm.models import build_model_with_cfg, generate_default_cfgs
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from pcn_cli.models.blocks import LAYER_NORM_EPS, Block, Stem
from pcn_cli.models.build import register_network
from pcn_cli.models.head import AttentionNetwork, make_head
from pcn_cli.models.pooling import AttentionPooling, start_as_published
from pcn_cli.models.published import SIZES, PatchConvNetSpec, Size, from_published
from pcn_cli.models.unpickle import find_tensors
from pcn_cli.models.weights import Fetcher
from pcn_cli.models.zoo import CARDS, Card, find_card
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
        layer_scale: initial gamma of all residual branches.
        drop_path_rate: stochastic depth of the trunk, constant over depth.
        drop_rate: dropout in the pooling's projection and MLP; attn_drop_rate: on its weights.
    """

    pooling_prefixes = ("pooling.", "norm.", "head.")

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
            start=start_as_published(layer_scale),
            drop_rate=drop_rate,
            attn_drop_rate=attn_drop_rate,
        )
        self.norm = nn.LayerNorm(embed_dim, eps=LAYER_NORM_EPS)
        self.head = make_head(embed_dim, num_classes, class_tokens=class_tokens)
        self.feature_info = [{"num_chs": embed_dim, "reduction": STRIDE, "module": f"blocks.{i}"} for i in range(depth)]

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


def _create(name: str, pretrained: bool, options: dict[str, Any]) -> PatchConvNet:
    """The network as timm builds it; published weights come through our own verified cache."""
    source, overlay = options.get("pretrained_cfg"), dict(options.pop("pretrained_cfg_overlay", None) or {})
    if pretrained and not isinstance(source, dict) and not overlay.keys() & {"file", "url", "state_dict", "hf_hub_id"}:
        overlay["file"] = str(Fetcher()(find_card(f"{name}.{source}" if source else name)))
    network: PatchConvNet = build_model_with_cfg(
        PatchConvNet,
        name,
        pretrained,
        pretrained_cfg_overlay=overlay,
        pretrained_filter_fn=_filter_weights,
        feature_cfg={"out_indices": options.pop("out_indices", 3), "feature_cls": "getter"},
        **options,
    )
    return network


def _filter_weights(state_dict: Mapping[str, Any], network: PatchConvNet) -> dict[str, Tensor]:
    """Our names for any layout that weight files have; class tokens of another number of classes are left out."""
    tensors = find_tensors(state_dict, "the weight file")
    tensors = from_published(tensors) if "cls_token" in tensors else tensors
    token = tensors.get("pooling.cls_token")
    if network.class_tokens and token is not None and token.shape != network.pooling.cls_token.shape:
        del tensors["pooling.cls_token"]
    return tensors


def _pretrained_cfg(card: Card) -> dict[str, Any]:
    side, preprocessing = -(-card.input_size // STRIDE), card.preprocessing
    return {
        "url": card.url or "",
        "input_size": (3, card.input_size, card.input_size),
        "pool_size": (side, side),
        "crop_pct": preprocessing.crop_pct,
        "interpolation": preprocessing.interpolation,
        "mean": preprocessing.mean,
        "std": preprocessing.std,
        "num_classes": card.network.num_classes,
        "first_conv": "stem.0",
        "classifier": "head",
        "license": card.licence.lower(),
        "paper_ids": card.paper,
    }


def _register(name: str, size: Size, *, class_tokens: bool = False) -> None:
    """Make the network of that size known to timm."""
    settings = {"embed_dim": size.embed_dim, "depth": size.depth, "class_tokens": class_tokens}

    def create(pretrained: bool = False, **options: Any) -> PatchConvNet:  # noqa: ANN401 - timm's convention
        return _create(name, pretrained, {"layer_scale": size.layer_scale, **settings, **options})

    create.__name__ = create.__qualname__ = name
    create.__doc__ = f"PatchConvNet {name}."
    register_network(create, **settings)


# timm looks for this name in the module of an entry point.
default_cfgs = generate_default_cfgs(
    {card.full_name: _pretrained_cfg(card) for card in CARDS if isinstance(card.network, PatchConvNetSpec)}
    | {"patchconvnet": {"first_conv": "stem.0", "classifier": "head"}}
)
_register("patchconvnet", SIZES["s60"])
for _name, _size in SIZES.items():
    _register(f"patchconvnet_{_name}", _size)
    _register(f"patchconvnet_{_name}_multi", _size, class_tokens=True)
