"""The PatchConvNets as timm knows them: a name per size, a tag per card; and the way published weights come in."""

from collections.abc import Callable, Mapping
from typing import Any

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor

from pcn_cli.models.patchconvnet import STRIDE, PatchConvNet
from pcn_cli.models.published import from_published, is_published
from pcn_cli.models.weights import fetch_weights, weights_cache
from pcn_cli.models.zoo import CARDS, Card, find_card

# LayerScale 1 for nano: 16 blocks are stable without it, and from random numbers it learns sooner than with 0.1. The
# others are the authors' own.
SIZES: dict[str, dict[str, Any]] = {
    "patchconvnet": {},
    "patchconvnet_nano": {"embed_dim": 192, "depth": 16, "layer_scale": 1.0},
    "patchconvnet_s60": {"embed_dim": 384, "depth": 60, "layer_scale": 1e-4},
    "patchconvnet_s60_multi": {"embed_dim": 384, "depth": 60, "layer_scale": 1e-4, "class_tokens": True},
    "patchconvnet_s120": {"embed_dim": 384, "depth": 120, "layer_scale": 1e-6},
    "patchconvnet_b60": {"embed_dim": 768, "depth": 60, "layer_scale": 1e-6},
    "patchconvnet_b120": {"embed_dim": 768, "depth": 120, "layer_scale": 1e-6},
    "patchconvnet_l60": {"embed_dim": 1024, "depth": 60, "layer_scale": 1e-6},
    "patchconvnet_l120": {"embed_dim": 1024, "depth": 120, "layer_scale": 1e-6},
}


def _create(name: str, pretrained: bool, options: dict[str, Any]) -> PatchConvNet:
    """The network as timm builds it; published weights come through our own verified cache."""
    source, overlay = options.get("pretrained_cfg"), dict(options.pop("pretrained_cfg_overlay", None) or {})
    if pretrained and not isinstance(source, dict) and not overlay.keys() & {"file", "url", "state_dict", "hf_hub_id"}:
        overlay["file"] = str(fetch_weights(find_card(f"{name}.{source}" if source else name), cache=weights_cache()))
    network: PatchConvNet = build_model_with_cfg(
        PatchConvNet,
        name,
        pretrained,
        pretrained_cfg_overlay=overlay,
        pretrained_filter_fn=_filter_weights,
        feature_cfg={"out_indices": options.pop("out_indices", 3), "feature_cls": "getter"},
        **(SIZES[name] | options),
    )
    return network


def _filter_weights(state_dict: Mapping[str, Any], network: PatchConvNet) -> dict[str, Tensor]:
    """Our names for any layout that weight files have; class tokens of another number of classes are left out."""
    for wrapper in ("model", "state_dict", "model_ema"):
        state_dict = state_dict.get(wrapper, state_dict)
    tensors = {name.removeprefix("module."): tensor for name, tensor in state_dict.items()}
    tensors = from_published(tensors) if is_published(tensors) else tensors
    token = tensors.get("pooling.cls_token")
    if network.class_tokens and token is not None and token.shape != network.pooling.cls_token.shape:
        del tensors["pooling.cls_token"]
    return tensors


def _pretrained_cfg(card: Card) -> dict[str, Any]:
    side = -(-card.input_size // STRIDE)
    return {
        "url": card.url or "",
        "input_size": (3, card.input_size, card.input_size),
        "pool_size": (side, side),
        "crop_pct": card.crop_pct,
        "interpolation": card.interpolation,
        "mean": card.mean,
        "std": card.std,
        "num_classes": card.num_classes,
        "first_conv": "stem.0",
        "classifier": "head",
        "license": card.licence.lower(),
        "paper_ids": card.paper,
    }


def _entry_point(name: str) -> Callable[..., PatchConvNet]:
    def create(pretrained: bool = False, **options: Any) -> PatchConvNet:  # noqa: ANN401 - timm's convention
        return _create(name, pretrained, options)

    create.__name__ = create.__qualname__ = name
    create.__doc__ = f"PatchConvNet {name}."
    return create


# timm looks for this name in the module of an entry point.
default_cfgs = generate_default_cfgs(
    {card.full_name: _pretrained_cfg(card) for card in CARDS}
    | {"patchconvnet": {"first_conv": "stem.0", "classifier": "head"}}
)
for _name in SIZES:
    register_model(_entry_point(_name))
