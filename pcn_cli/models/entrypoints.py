"""The networks that timm can create by name once this is imported, PatchConvNets with the published weights of their
cards.
"""

import math
from collections.abc import Mapping
from typing import Any

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn

import pcn_cli.models.aggregation  # noqa: F401 - importing is registering
from pcn_cli.models.build import patchconvnet_settings, register_network, timm_cfg
from pcn_cli.models.patchconvnet import STRIDE, PatchConvNet
from pcn_cli.models.published import ARCHITECTURES, SIZES, PatchConvNetSpec, from_published
from pcn_cli.models.pyramid import Pyramid
from pcn_cli.models.weights import Fetcher
from pcn_cli.models.zoo import CARDS, find_card
from pcn_cli.tensors.pth import find_tensors


def _filter_weights(state_dict: Mapping[str, Any], network: PatchConvNet) -> dict[str, Tensor]:
    """Our names for any layout that weight files have; class tokens of another number of classes are left out."""
    tensors = find_tensors(state_dict, "the weight file")
    tensors = from_published(tensors) if "cls_token" in tensors else tensors
    token = tensors.get("pooling.cls_token")
    if network.class_tokens and token is not None and token.shape != network.pooling.cls_token.shape:
        del tensors["pooling.cls_token"]
    return tensors


def _register(name: str) -> None:
    """Let timm make the network, and its pyramid as NAME_pyramid, for what refuses features of one stride."""
    settings, layer_scale = patchconvnet_settings(name), SIZES[ARCHITECTURES[name][0]][2]
    getter: dict[str, Any] = {"out_indices": 3, "feature_cls": "getter"}

    def create(pretrained: bool = False, **options: Any) -> PatchConvNet:  # noqa: ANN401 - timm's convention
        source, overlay = options.get("pretrained_cfg"), dict(options.pop("pretrained_cfg_overlay", None) or {})
        own_weights = isinstance(source, dict) or overlay.keys() & {"file", "url", "state_dict", "hf_hub_id"}
        if pretrained and not own_weights:  # published weights come through our own verified cache
            overlay["file"] = str(Fetcher()(find_card(f"{name}.{source}" if source else name)))
        network: PatchConvNet = build_model_with_cfg(
            PatchConvNet,
            name,
            pretrained,
            pretrained_cfg_overlay=overlay,
            pretrained_filter_fn=_filter_weights,
            feature_cfg=getter | ({"out_indices": options.pop("out_indices")} if "out_indices" in options else {}),
            **{"layer_scale": layer_scale, **settings, **options},
        )
        return network

    def create_pyramid(pretrained: bool = False, **options: Any) -> nn.Module:  # noqa: ANN401 - timm's convention
        if not options.pop("features_only", False):
            raise ValueError(f"{name}_pyramid has features only: timm.create_model(…, features_only=True)")
        levels = options.pop("out_indices", (0, 1, 2, 3))
        pyramid: nn.Module = create(pretrained, features_only=True, feature_cls=Pyramid, out_indices=levels, **options)
        return pyramid

    create.__name__ = create.__qualname__ = name
    create.__doc__ = f"PatchConvNet {name}."
    register_network(create, **settings)
    if not settings["class_tokens"]:
        create_pyramid.__name__ = create_pyramid.__qualname__ = f"{name}_pyramid"
        register_model(create_pyramid)


# timm looks for this name in the module of an entry point.
default_cfgs = generate_default_cfgs(
    {
        card.full_name: {
            "url": card.url or "",
            "pool_size": (math.ceil(card.input_size / STRIDE),) * 2,
            "first_conv": "stem.0",
            "paper_ids": card.paper,
            **timm_cfg(card.preprocessing, card.network.num_classes, card.licence),
        }
        for card in CARDS
        if isinstance(card.network, PatchConvNetSpec)
    }
    | {"patchconvnet": {"first_conv": "stem.0", "classifier": "head"}}
)
for _name in ARCHITECTURES:
    _register(_name)
