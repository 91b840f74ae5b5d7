from collections.abc import Callable
from functools import partial

import pytest
import timm
import torch
from torch import Tensor

import pcn_cli.models.entrypoints  # noqa: F401 - importing is registering
from pcn_cli.errors import ModelError
from pcn_cli.models.backbone import feature_map, measure_patch_grid
from pcn_cli.models.patchconvnet import PatchConvNet
from pcn_cli.records.model import PatchGrid

BACKBONES = [
    ("resnet18", {}, 0.5),  # padding 1 everywhere: patch 0 is centred on pixel 0
    ("regnety_002", {}, 0.5),
    ("mobilenetv3_small_100", {}, 0.5),
    ("mobilenetv2_100", {}, 0.5),
    ("mobilenetv2_100", {"pad_type": "same"}, 31.5),  # pads right and below only: pixel 31
    ("convnext_atto", {}, 16.0),  # kernels as wide as their stride: the middle of the cell
]


@pytest.mark.parametrize(("name", "settings", "offset"), BACKBONES)
def test_the_offset_is_what_the_padding_makes_it(name: str, settings: dict, offset: float) -> None:
    backbone = timm.create_model(name, num_classes=0, **settings)
    assert measure_patch_grid(backbone, (3, 224, 224)) == PatchGrid(stride=32.0, offset=offset)


@pytest.mark.parametrize(("name", "settings", "offset"), BACKBONES)
def test_a_patch_answers_to_pixels_around_its_measured_centre(name: str, settings: dict, offset: float) -> None:
    torch.manual_seed(0)
    backbone = timm.create_model(name, num_classes=0, **settings).eval().requires_grad_(False)
    assert center_of_answer(partial(feature_map, backbone), patch=3) == pytest.approx((offset + 96, offset + 96), abs=3)


def center_of_answer(features: Callable[[Tensor], Tensor], *, patch: int) -> tuple[float, float]:
    """Where the pixels lie to which patch (p, p) of a network with its own weights answers: the squared gradient."""
    images = torch.randn(4, 3, 224, 224, requires_grad=True)
    (gradient,) = torch.autograd.grad(features(images)[:, :, patch, patch].square().sum(), images)
    mass = gradient.square().sum((0, 1))
    pixels = torch.arange(224) + 0.5
    return float((mass.sum(0) @ pixels) / mass.sum()), float((mass.sum(1) @ pixels) / mass.sum())


def test_an_impulse_reaches_the_tokens_of_the_stem_around_it() -> None:
    torch.manual_seed(0)
    stem = PatchConvNet(embed_dim=16, depth=1, num_classes=2).stem
    images = torch.randn(1, 3, 96, 96, requires_grad=True)
    (gradient,) = torch.autograd.grad(stem(images)[0, :, 2, 3].square().sum(), images)
    rows, columns = (gradient.abs().sum((0, 1)) > 0).nonzero(as_tuple=True)
    # Pixels 16 m − 15 … 16 m + 15: the middle is pixel 16 m, 7.5 px before the middle of the cell.
    assert (int(rows.min()), int(rows.max())) == (17, 47)
    assert (int(columns.min()), int(columns.max())) == (33, 63)
    grid = PatchConvNet(embed_dim=8, depth=1).patch_grid
    assert (grid.offset + 2 * grid.stride, grid.offset + 3 * grid.stride) == ((17 + 48) / 2, (33 + 64) / 2)


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


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224"])
def test_the_patches_of_a_transformer_tile_the_input(name: str) -> None:
    backbone = timm.create_model(name, num_classes=0)
    assert measure_patch_grid(backbone, (3, 224, 224)) == PatchGrid(stride=16.0, offset=8.0)


def test_a_size_that_a_transformer_does_not_take_is_refused() -> None:
    backbone = timm.create_model("vit_tiny_patch16_224", num_classes=0)
    with pytest.raises(ModelError, match="VisionTransformer takes no photos of 96 × 64 pixels") as refused:
        feature_map(backbone, torch.zeros(1, 3, 64, 96))
    assert refused.value.hint == "leave --size out"


def test_a_network_without_a_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="LevitDistilled gives no grid of features"):
        feature_map(timm.create_model("levit_128s", num_classes=0), torch.zeros(1, 3, 224, 224))
