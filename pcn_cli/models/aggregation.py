"""Attention pooling on any timm backbone: the layer of PatchConvNet in the place of the backbone's average pooling.

Touvron et al. 2021, arXiv:2112.13692, section 3. The tokens are the map that the backbone's own average pooling would
see. What the backbone has between its pooling and its classifier (ConvNeXt's norm, MobileNetV3's last convolution)
stays and acts on the pooled token, so that a fresh network gives the features of the backbone with average pooling; the
one difference is the factor N / (N + 1), for the class token is a key too.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from timm.models import build_model_with_cfg, generate_default_cfgs
from torch import Tensor, nn

from pcn_cli.models.backbone import feature_map, inspect_backbone, make_backbone, measure_patch_grid, one_patch
from pcn_cli.models.build import register_network
from pcn_cli.models.head import AttentionNetwork, make_head
from pcn_cli.models.layers import trunc_normal_
from pcn_cli.models.pooling import LAYER_NORM_EPS, AttentionPooling
from pcn_cli.records.model import PatchGrid
from pcn_cli.tensors.private import group_with_matcher


class AttentionPooled(AttentionNetwork):
    """A timm backbone whose average pooling is attention pooling.

    Args:
        backbone: a name of timm's registry; backbone_args: its settings, as JSON holds them.
        embed_dim: width of the pooling; None keeps the backbone's. Another width puts a projection and a norm of ours
            in the place of what the backbone has behind its pooling.
        class_tokens: one class token per class, each with a map and a logit of its own.
        mirror: answer from an image and its mirror image together.
        pooling_rank: what the pooling learns has this rank; None: as many numbers as its width allows.
        drop_rate: dropout in the pooling block; drop_path_rate: handed to the backbone.

    Raises:
        ValueError: there is no such backbone, it takes no such setting, or it gives no grid of features.
    """

    def __init__(
        self,
        *,
        backbone: str,
        backbone_args: Mapping[str, Any] | None = None,
        embed_dim: int | None = None,
        num_classes: int = 1000,
        class_tokens: bool = False,
        mirror: bool = False,
        pooling_rank: int | None = None,
        in_chans: int = 3,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ) -> None:
        super().__init__()
        self.backbone = make_backbone(backbone, dict(backbone_args or {}), in_chans, drop_path_rate)
        channels, head_parts = inspect_backbone(self.backbone, in_chans)
        width = embed_dim or channels
        self.in_chans, self.num_features, self.embed_dim = in_chans, channels, width
        self.num_classes, self.class_tokens, self.mirror = num_classes, class_tokens, mirror
        self.projection: nn.Module = nn.Identity()
        self.norm: nn.Module = nn.Identity()
        if width != channels:
            self.projection = nn.Conv2d(channels, width, 1)
            trunc_normal_(self.projection.weight, std=width**-0.5)
            nn.init.zeros_(self.projection.bias)  # type: ignore[arg-type]
            self.norm = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
            for part in head_parts:
                self.backbone.add_module(part, nn.Identity())
            head_parts = ()
        behind = (f"backbone.{part}." for part in head_parts)
        self.pooling_prefixes = ("projection.", "pooling.", "norm.", "head.", *behind)
        tokens = max(num_classes, 1) if class_tokens else None
        self.pooling = AttentionPooling(
            width, class_tokens=tokens, layer_scale=None, drop_rate=drop_rate, rank=pooling_rank
        )
        reference = next(self.backbone.parameters())
        token = torch.zeros(1, 1, width, device=reference.device, dtype=reference.dtype)
        with torch.no_grad():
            self.head_hidden_size = self.eval().finish(token).shape[-1]
        self.train()
        self.head = make_head(self.head_hidden_size, num_classes, class_tokens=class_tokens)
        self.feature_info = getattr(self.backbone, "feature_info", [])
        self.pretrained_cfg: dict[str, Any] = {}

    def measure_patch_grid(self, height: int, width: int) -> PatchGrid:
        """Where the patches lie on an input of that many pixels."""
        return measure_patch_grid(self.backbone, (self.in_chans, height, width))

    def forward_trunk(self, images: Tensor) -> Tensor:
        """The tokens (B, C, h, w), channels-last in memory: what the backbone's average pooling would see."""
        tokens = feature_map(self.backbone, images.contiguous(memory_format=torch.channels_last))
        return tokens.contiguous(memory_format=torch.channels_last)

    def project(self, tokens: Tensor) -> Tensor:
        """The tokens in the pooling's width."""
        projected: Tensor = self.projection(tokens)
        return projected

    def finish(self, cls: Tensor) -> Tensor:
        """The features (…, T, F) that the backbone's layers behind its pooling make of pooled tokens (…, T, d)."""
        normed: Tensor = self.norm(cls)
        if self.embed_dim != self.num_features:
            return normed
        patch = one_patch(self.backbone, normed.reshape(-1, self.embed_dim))
        features: Tensor = self.backbone.forward_head(patch, pre_logits=True)  # type: ignore[operator]
        return features.reshape(*normed.shape[:-1], -1)

    def forward_intermediates(self, x: Tensor, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - the backbone's
        """The intermediates that the backbone gives."""
        return self.backbone.forward_intermediates(x, *arguments, **options)  # type: ignore[operator]

    def prune_intermediate_layers(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - the backbone's
        """The indices kept, after the backbone dropped what lies behind them; the pooling goes too."""
        self.add_module("pooling", nn.Identity())
        self.reset_classifier(0)
        return self.backbone.prune_intermediate_layers(*arguments, **options)  # type: ignore[operator]

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Compute the backbone's activations twice to save memory."""
        self.backbone.set_grad_checkpointing(enable)  # type: ignore[operator]

    def compilable(self) -> tuple[nn.Module, ...]:
        """The layers of the backbone."""
        return tuple(self.backbone.children())

    def no_weight_decay(self) -> set[str]:
        """Names of parameters that must not decay, beside the one-dimensional ones."""
        own: set[str] = getattr(self.backbone, "no_weight_decay", set)()
        return {"pooling.cls_token"} | {f"backbone.{name}" for name in own}

    def group_matcher(self, coarse: bool = False) -> Callable[[str], tuple[float, ...]]:
        """A function for timm that orders parameters: the backbone's own layers, then everything behind the tokens."""
        names = [name for name, _ in self.backbone.named_parameters()]
        trunk = [(name, name) for name in names if not f"backbone.{name}".startswith(self.pooling_prefixes)]
        matcher = self.backbone.group_matcher(coarse=coarse)  # type: ignore[operator]
        layers = group_with_matcher(iter(trunk), matcher, reverse=True)
        return lambda name: (float(layers.get(name.removeprefix("backbone."), len(trunk) + 1)),)


# timm looks for this name in the module of an entry point.
default_cfgs = generate_default_cfgs({"attention_pooled": {"classifier": "head"}})
_FROM_BACKBONE = ("input_size", "fixed_input_size", "interpolation", "crop_pct", "crop_mode", "mean", "std")


def attention_pooled(pretrained: bool = False, **options: Any) -> AttentionPooled:  # noqa: ANN401 - timm's convention
    """Attention pooling on the timm model named `backbone`, with its `backbone_args`."""
    network: AttentionPooled = build_model_with_cfg(
        AttentionPooled,
        "attention_pooled",
        pretrained,
        feature_cfg={"out_indices": options.pop("out_indices", (0, 1, 2, 3, 4)), "feature_cls": "getter"},
        **options,
    )
    if not isinstance(options.get("pretrained_cfg"), dict) and isinstance(network, AttentionPooled):
        own = getattr(network.backbone, "pretrained_cfg", {})
        network.pretrained_cfg = network.pretrained_cfg | {key: own[key] for key in _FROM_BACKBONE if key in own}
    return network


register_network(
    attention_pooled,
    backbone=None,
    backbone_args=None,
    embed_dim=None,
    class_tokens=False,
    mirror=False,
    pooling_rank=None,
)
