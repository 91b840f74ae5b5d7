import pytest
import timm
import torch

import pcn_cli.models  # noqa: F401 - importing is registering
from pcn_cli.models.grid import measure_patch_grid
from pcn_cli.models.patchconvnet import PatchConvNet
from pcn_cli.records.model import PatchGrid


@pytest.mark.parametrize(
    ("name", "settings", "offset"),
    [
        ("resnet18", {}, 0.5),  # padding 1 everywhere: patch 0 is centred on pixel 0
        ("regnety_002", {}, 0.5),
        ("mobilenetv3_small_100", {}, 0.5),
        ("mobilenetv2_100", {}, 0.5),
        ("mobilenetv2_100", {"pad_type": "same"}, 31.5),  # pads right and below only: pixel 31
        ("convnext_atto", {}, 16.0),  # kernels as wide as their stride: the middle of the cell
    ],
)
def test_the_offset_is_what_the_padding_makes_it(name: str, settings: dict, offset: float) -> None:
    backbone = timm.create_model(name, num_classes=0, **settings)
    assert measure_patch_grid(backbone, (3, 224, 224)) == PatchGrid(stride=32.0, offset=offset)


def test_patchconvnet_is_as_described() -> None:
    network = PatchConvNet(embed_dim=16, depth=2, num_classes=2)
    assert measure_patch_grid(network, (3, 224, 224)) == network.patch_grid == PatchGrid(stride=16.0, offset=0.5)


def test_measuring_leaves_the_backbone_as_it_is() -> None:
    backbone = timm.create_model("mobilenetv3_small_100", num_classes=0)
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    measure_patch_grid(backbone, (3, 64, 64))
    assert backbone.training
    assert all(parameter.requires_grad for parameter in backbone.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.state_dict().items())


def test_one_patch_is_the_whole_input() -> None:
    backbone = timm.create_model("resnet18", num_classes=0)
    assert measure_patch_grid(backbone, (3, 32, 32)) == PatchGrid(stride=32.0, offset=16.0)


def test_a_network_measures_itself_once() -> None:
    network = timm.create_model("attention_pooled", backbone="convnext_atto", num_classes=2)
    assert network.patch_grid is network.patch_grid
    network.patch_grid = PatchGrid(stride=8.0, offset=4.0)
    assert network.patch_grid.stride == 8
