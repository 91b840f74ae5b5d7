import pytest
import timm
import torch
from torch import nn

import pcn_cli.models.entrypoints  # noqa: F401 - importing is registering
from pcn_cli.models.patchconvnet import PatchConvNet
from pcn_cli.tensors.network import Attended, Network


def make_networks(*, class_tokens: bool) -> list[nn.Module]:
    options = {"num_classes": 4, "class_tokens": class_tokens}
    return [
        PatchConvNet(embed_dim=32, depth=1, **options),
        timm.create_model("attention_pooled", backbone="mobilenetv3_small_100", **options),
        timm.create_model("attention_pooled", backbone="convnext_atto", **options),
    ]


@pytest.mark.parametrize("class_tokens", [False, True])
@torch.no_grad()
def test_every_kind_of_network_offers_what_the_rooms_ask_for(class_tokens: bool) -> None:
    for network in make_networks(class_tokens=class_tokens):
        assert isinstance(network, Network)
        attended = network.eval().attend(torch.randn(1, 3, 64, 64))
        assert isinstance(attended, Attended)
        assert attended.weights.shape[1] == (4 if class_tokens else 1)
