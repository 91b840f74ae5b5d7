"""A timm model as a backbone: built by name, its map of features, and what it has behind that map."""

from collections.abc import Callable
from typing import Any, cast

import timm
import torch
from torch import Tensor, nn

# Settings of timm.create_model that would fetch, open or reshape something.
NOT_FOR_BACKBONES = frozenset(
    {
        "pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir", "scriptable",
        "exportable", "no_jit", "features_only", "num_classes", "global_pool", "model_name",
    }
)  # fmt: skip
_LOOK_SIZE = 96  # pixels of the picture that shows which map a backbone gives


def feature_map(backbone: nn.Module, images: Tensor) -> Tensor:
    """The last map of features (B, C, h, w) of images (B, 3, H, W): what average pooling would see.

    Raises:
        ValueError: it is no grid, as in networks of tokens.
    """
    features = cast("Callable[[Tensor], Tensor]", backbone.forward_features)(images)
    if not isinstance(features, Tensor) or features.ndim != 4:
        raise ValueError(f"{type(backbone).__name__} gives no grid of features to pool")
    return features.permute(0, 3, 1, 2) if is_nhwc(backbone) else features


def is_nhwc(backbone: nn.Module) -> bool:
    """Whether the backbone keeps channels last in its shapes."""
    return getattr(backbone, "output_fmt", "NCHW") == "NHWC"


def make_backbone(name: str, settings: dict[str, Any], in_chans: int, drop_path_rate: float) -> nn.Module:
    """A timm model without weights and classifier.

    Raises:
        ValueError: there is none of that name, or it takes no such settings.
    """
    if not timm.is_model(name) or name.startswith(("attention_pooled", "patchconvnet")):
        raise ValueError(f"timm has no backbone called {name!r} to put attention pooling on")
    if forbidden := NOT_FOR_BACKBONES & settings.keys():
        raise ValueError(f"backbone_args must not set {', '.join(sorted(forbidden))}")
    if drop_path_rate:
        settings["drop_path_rate"] = drop_path_rate
    try:
        backbone: nn.Module = timm.create_model(name, pretrained=False, num_classes=0, in_chans=in_chans, **settings)
    except (TypeError, RuntimeError) as error:
        raise ValueError(f"{name} cannot be built with {settings or 'its defaults'}: {error}") from error
    return backbone


def look_at(backbone: nn.Module, in_chans: int) -> tuple[int, tuple[str, ...]]:
    """How many channels the map of features has, and the parts with parameters that act behind it."""
    config = getattr(backbone, "pretrained_cfg", {})
    size = config["input_size"][-2:] if config.get("fixed_input_size") else (_LOOK_SIZE, _LOOK_SIZE)
    called: set[nn.Module] = set()
    hooks = [m.register_forward_pre_hook(lambda module, _inputs: called.add(module)) for m in backbone.modules()]
    reference, training = next(backbone.parameters()), backbone.training
    images = torch.zeros(1, in_chans, *size, device=reference.device, dtype=reference.dtype)
    with torch.no_grad():
        channels = feature_map(backbone.eval(), images).shape[1]
    backbone.train(training)
    for hook in hooks:
        hook.remove()
    behind = {name: part for name, part in backbone.named_children() if called.isdisjoint(part.modules())}
    return channels, tuple(name for name, part in behind.items() if next(part.parameters(), None) is not None)
