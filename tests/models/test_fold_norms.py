"""Folding changes nothing but the time: over the kinds of networks that timm has, and those that must be left alone."""

import copy

import pytest
import torch
from timm.layers import BatchNormAct2d, ScaledStdConv2d
from torch import Tensor, nn

from pcn_cli.models.aggregation import AttentionPooled
from pcn_cli.models.fold_norms import fold_norms
from pcn_cli.models.patchconvnet import PatchConvNet

BACKBONES = {
    # name: batch norms that are left, those with no convolution of their own before them
    "mobilenetv2_100": 0,
    "tf_efficientnet_lite0": 0,  # pads unevenly
    "mobilenetv3_small_100": 0,  # has a convolution behind its pooling
    "mobilenetv4_conv_small": 0,  # has a norm behind its pooling
    "resnet18": 0,
    "resnet26d": 0,
    "resnetv2_50": 17,  # norms before convolutions, most of which follow a sum
    "regnety_002": 0,
    "densenet121": 62,  # norms of several layers' outputs
    "repvgg_a0": 17,  # branches that are a norm alone
    "ghostnet_100": 0,
}


def norms(network: nn.Module) -> list[nn.Module]:
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


def unsettle(network: nn.Module) -> nn.Module:
    """The network with norms that do something, in evaluation mode."""
    generator = torch.Generator().manual_seed(1)
    for norm in norms(network):
        if norm.track_running_stats:
            norm.running_mean.normal_(0, 0.3, generator=generator)
            norm.running_var.uniform_(0.3, 3, generator=generator)
        if norm.affine:
            nn.init.uniform_(norm.weight, 0.5, 1.5, generator=generator)
            nn.init.normal_(norm.bias, 0, 0.3, generator=generator)
    return network.eval()


def pooled(backbone: str, **options: object) -> AttentionPooled:
    torch.manual_seed(0)
    return unsettle(AttentionPooled(backbone=backbone, num_classes=5, **options))


def assert_alike(folded: nn.Module, network: nn.Module, images: Tensor) -> None:
    with torch.inference_mode():
        found, expected = folded(images), network(images)
    assert expected.std() > 0
    assert (found - expected).norm() < 2e-5 * expected.norm()


@pytest.mark.parametrize("name", BACKBONES)
def test_every_kind_of_backbone_answers_the_same(name: str) -> None:
    network = pooled(name)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    images = torch.randn(2, 3, 96, 128, generator=torch.Generator().manual_seed(2))
    folded = fold_norms(network)
    assert folded is not network
    assert len(norms(network)) > len(norms(folded)) == BACKBONES[name]
    assert_alike(folded, network, images)
    with torch.inference_mode():
        attended, expected = folded.attend(images), network.attend(images)
        tokens = network.forward_features(images)
        assert (folded.forward_features(images) - tokens).norm() < 2e-5 * tokens.norm()
    torch.testing.assert_close(attended.weights, expected.weights)
    assert attended.grid == expected.grid
    # The network itself has its layers, its numbers and its gradients still.
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


@pytest.mark.parametrize(
    "network",
    [PatchConvNet(embed_dim=64, depth=2, num_classes=3), AttentionPooled(backbone="convnext_atto", num_classes=3)],
    ids=["PatchConvNet", "convnext_atto"],
)
def test_a_network_without_batch_norms_is_itself(network: nn.Module) -> None:
    assert fold_norms(network) is network


def test_a_network_that_is_trained_stays_so_and_is_answered_for_as_in_evaluation() -> None:
    network = pooled("resnet18").train()
    folded = fold_norms(network)
    assert network.training
    assert not any(module.training for module in folded.modules())
    assert not any(parameter.requires_grad for parameter in folded.parameters())
    assert_alike(folded, network.eval(), torch.randn(2, 3, 64, 64))


def test_checkpointing_frozen_weights_and_inference_mode_are_no_hindrance() -> None:
    network = pooled("mobilenetv2_100").requires_grad_(False)
    network.set_grad_checkpointing()
    with torch.inference_mode():
        folded = fold_norms(network)
    assert norms(folded) == []
    assert not any(tensor.is_inference() for tensor in folded.state_dict().values())
    assert_alike(folded, network, torch.randn(2, 3, 64, 64))


def test_memory_stays_channels_last() -> None:
    folded = fold_norms(pooled("resnet18").to(memory_format=torch.channels_last))
    assert folded.backbone.conv1.weight.is_contiguous(memory_format=torch.channels_last)


class Small(nn.Module):
    """Two convolutions and a norm, in an order that subclasses choose."""

    def __init__(self, convolution: nn.Module | None = None, norm: nn.Module | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = convolution or nn.Conv2d(3, 4, 3)
        self.second = nn.Conv2d(4, 4, 1)
        self.norm = norm or nn.BatchNorm2d(4)
        unsettle(self)

    def forward(self, images: Tensor) -> Tensor:
        return self.second(self.norm(self.first(images)).relu())


class UsedTwice(Small):
    def forward(self, images: Tensor) -> Tensor:
        x = self.first(images)
        return x + self.norm(x)


class ChangedInPlace(Small):
    def forward(self, images: Tensor) -> Tensor:
        return self.norm(self.first(images).relu_())


class NormTwice(Small):
    def forward(self, images: Tensor) -> Tensor:
        return self.norm(self.second(self.norm(self.first(images))))


class ConvolutionTwice(Small):
    def forward(self, images: Tensor) -> Tensor:
        x = self.norm(self.first(images))
        return self.second(x) + self.first(images)


class Behind(Small):
    """The norm follows something else."""

    def forward(self, images: Tensor) -> Tensor:
        return self.norm(self.second(self.first(images)).flip(3))


@pytest.mark.parametrize(
    "network",
    [
        *(kind() for kind in (UsedTwice, ChangedInPlace, NormTwice, ConvolutionTwice, Behind)),
        Small(norm=nn.BatchNorm2d(4, track_running_stats=False)),
        Small(convolution=ScaledStdConv2d(3, 4, 3)),
        Small(convolution=nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3))),
        Small(convolution=nn.ConvTranspose2d(3, 4, 3)),
    ],
    ids=lambda network: f"{type(network).__name__} {type(network.first).__name__}",
)
def test_a_norm_that_cannot_go_stays(network: nn.Module) -> None:
    assert fold_norms(network) is network


@pytest.mark.parametrize(
    ("convolution", "norm"),
    [
        (nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)),
        (nn.Conv2d(3, 4, 3, padding=1, stride=2), nn.BatchNorm2d(4, affine=False)),
        (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, eps=0.1)),
        (None, BatchNormAct2d(4, act_layer=nn.GELU)),
        (None, BatchNormAct2d(4, apply_act=False, drop_layer=nn.Dropout)),
    ],
)
def test_what_belongs_to_a_norm_is_kept(convolution: nn.Module | None, norm: nn.Module) -> None:
    network = Small(copy.deepcopy(convolution), norm)
    folded = fold_norms(network)
    assert norms(folded) == []
    assert_alike(folded, network, torch.randn(2, 3, 32, 32))


def test_a_norm_that_has_two_names_goes_by_both() -> None:
    network = Small()
    network.other = network.norm
    assert norms(fold_norms(network)) == []


def test_weights_that_another_convolution_shares_are_not_changed_for_it() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1))
    network[3].weight = network[1].weight
    assert_alike(fold_norms(unsettle(network)), network, torch.randn(2, 3, 32, 32))
