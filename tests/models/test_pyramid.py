"""The pyramid's strides, where its cells lie, what reaches the stem, and the libraries that use it."""

import pytest
import timm
import torch
from torch import nn
from torchvision.models.detection import FasterRCNN

import pcn_cli.models.entrypoints  # noqa: F401 - importing is registering
from pcn_cli.models.patchconvnet import PatchConvNet
from pcn_cli.models.pyramid import STRIDES, DetectionBackbone, Pyramid, choose_taps

WIDTH = 32


def new_pyramid(depth: int = 6, **settings: object) -> Pyramid:
    torch.manual_seed(0)
    return Pyramid(PatchConvNet(embed_dim=WIDTH, depth=depth, num_classes=5, layer_scale=1.0), **settings).eval()


def test_levels_come_from_a_third_half_two_thirds_and_all_of_the_depth():
    assert choose_taps(60) == (19, 29, 39, 59)
    assert choose_taps(120) == (39, 59, 79, 119)
    assert choose_taps(16) == (4, 7, 10, 15)
    assert choose_taps(1) == (0, 0, 0, 0)


def test_each_level_is_made_of_the_block_that_it_names():
    pyramid = new_pyramid()
    images = torch.randn(2, 3, 64, 80)
    before = [level.clone() for level in pyramid(images)]
    for level, block in enumerate(choose_taps(6)):
        changed = new_pyramid()
        nn.init.zeros_(changed.trunk.blocks[block].gamma)
        differs = [not torch.equal(one, other) for one, other in zip(before, changed(images), strict=True)]
        # Each block is seen by its own level and by all that lie deeper, and by none before.
        assert differs == [place >= level for place in range(4)]


@pytest.mark.parametrize("depth", [1, 2, 3, 6])
@pytest.mark.parametrize(("height", "width"), [(64, 64), (16, 33), (50, 97), (1, 130), (127, 31)])
def test_any_size_gives_maps_at_four_strides(depth: int, height: int, width: int):
    maps = new_pyramid(depth)(torch.randn(1, 3, height, width))
    assert [tuple(one.shape) for one in maps] == [(1, WIDTH, -(-height // s), -(-width // s)) for s in STRIDES]


@pytest.mark.parametrize("level", range(4))
def test_cells_are_centred_on_multiples_of_their_stride(level: int):
    pyramid, stride = new_pyramid(depth=1), STRIDES[level]
    pyramid.trunk.blocks = nn.ModuleList([nn.Identity()])  # whose means over the grid see the whole picture
    pyramid.levels[0][1] = nn.Identity()  # so does a norm
    step = 2 if level == 0 else 1  # a quarter of the way between two tokens both are seen whole, but weigh differently
    for row, column in ((128 // stride, 128 // stride), (128 // stride + step, 96 // stride)):
        seen = torch.zeros(256, 256)
        for seed in range(6):  # a maximum sends its gradient to one of the cells that it looks at
            images = torch.randn(1, 3, 256, 256, generator=torch.Generator().manual_seed(seed), requires_grad=True)
            pyramid(images)[level][0, :, row, column].square().sum().backward()
            seen += images.grad[0].abs().sum(0)
        ys, xs = (torch.nonzero(seen.sum(1 - axis)).flatten() for axis in (0, 1))
        assert (int(ys[0] + ys[-1]) / 2, int(xs[0] + xs[-1]) / 2) == (row * stride, column * stride)


def test_every_level_teaches_the_stem_and_its_own_layers():
    for level in range(4):
        pyramid = new_pyramid().train()
        pyramid(torch.randn(2, 3, 48, 48))[level].square().mean().backward()
        reached = {
            name for name, one in pyramid.named_parameters() if one.grad is not None and one.grad.abs().sum() > 0
        }
        assert "trunk.stem.0.weight" in reached
        assert any(name.startswith(f"levels.{level}.") for name in reached) == (level < 2)
    assert not any(name.startswith(("trunk.pooling", "trunk.head")) for name, _ in pyramid.named_parameters())


def test_checkpointing_gives_the_same_gradients():
    gradients = []
    for again in (False, True):
        pyramid = new_pyramid().train()
        pyramid.set_grad_checkpointing(again)
        sum(one.square().mean() for one in pyramid(torch.ones(1, 3, 48, 48))).backward()
        gradients.append(pyramid.trunk.stem[0].weight.grad)
    torch.testing.assert_close(*gradients)


def test_timm_makes_it_by_name_with_the_weights_of_the_card():
    pyramid = timm.create_model("patchconvnet_nano_pyramid", pretrained=True, features_only=True, out_indices=(1, 3))
    assert isinstance(pyramid, Pyramid)
    assert pyramid.feature_info.reduction() == [8, 32]
    assert pyramid.feature_info.channels() == [192, 192]
    assert [one.shape[-1] for one in pyramid(torch.zeros(1, 3, 64, 64))] == [8, 2]
    plain = timm.create_model("patchconvnet_nano", pretrained=True)
    assert torch.equal(pyramid.trunk.blocks[15].conv_pw.weight, plain.blocks[15].conv_pw.weight)
    with pytest.raises(ValueError, match="features_only=True"):
        timm.create_model("patchconvnet_nano_pyramid")
    with torch.device("meta"):
        large = timm.create_model("patchconvnet_s60_pyramid", features_only=True)
    assert large.feature_info.reduction() == list(STRIDES)


def test_torchvisions_detectors_take_it():
    backbone = DetectionBackbone(new_pyramid(), out_channels=16)
    maps = backbone(torch.randn(1, 3, 70, 64))
    assert {name: tuple(one.shape) for name, one in maps.items()} == {
        "0": (1, 16, 18, 16), "1": (1, 16, 9, 8), "2": (1, 16, 5, 4), "3": (1, 16, 3, 2), "pool": (1, 16, 2, 1)
    }  # fmt: skip
    detector = FasterRCNN(backbone, num_classes=3, min_size=64, max_size=96).train()
    target = {"boxes": torch.tensor([[8.0, 8.0, 40.0, 44.0]]), "labels": torch.tensor([1])}
    losses = detector([torch.rand(3, 64, 80)], [target])
    sum(losses.values()).backward()
    assert backbone.body.trunk.stem[0].weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("head", "name"), [("UPerNet", "tu-patchconvnet_nano_pyramid"), ("FPN", "tu-patchconvnet_nano_pyramid")]
)
def test_segmentation_models_take_it(head: str, name: str):
    smp = pytest.importorskip("segmentation_models_pytorch")
    network = getattr(smp, head)(name, encoder_weights=None, classes=4).eval()
    assert network(torch.randn(1, 3, 64, 96)).shape == (1, 4, 64, 96)


def test_dpt_takes_the_trunk_itself():
    smp = pytest.importorskip("segmentation_models_pytorch")
    network = smp.DPT("tu-patchconvnet_nano", encoder_weights=None, decoder_readout="ignore", classes=4).eval()
    assert network(torch.randn(1, 3, 64, 64)).shape == (1, 4, 64, 64)
