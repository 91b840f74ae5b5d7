import json

import pytest
import timm
import torch
from timm.models import group_parameters
from timm.optim import param_groups_layer_decay
from torch import nn

import pcn_cli.models.entrypoints  # noqa: F401 - importing is registering
from pcn_cli.models.aggregation import AttentionPooled

BACKBONES = {
    # name: channels of the tokens, width before the head, parts of the backbone behind its pooling
    "resnet50": (2048, 2048, ()),
    "convnext_atto": (320, 320, ("head",)),
    "regnety_002": (368, 368, ()),
    "mobilenetv3_small_100": (576, 1024, ("conv_head",)),
    "mobilenetv2_100": (1280, 1280, ()),
}


def pooled(name: str, **options) -> AttentionPooled:
    torch.manual_seed(0)
    return timm.create_model("attention_pooled", backbone=name, num_classes=3, **options).eval()


@pytest.mark.parametrize("name", BACKBONES)
@torch.no_grad()
def test_a_fresh_pooling_is_the_average_pooling_of_the_backbone(name: str) -> None:
    network, images = pooled(name), torch.randn(2, 3, 96, 64, generator=torch.Generator().manual_seed(1))
    channels, width, parts = BACKBONES[name]
    tokens = network.forward_features(images)
    assert tokens.shape == (2, channels, 3, 2)
    assert tokens.is_contiguous(memory_format=torch.channels_last)
    assert network.num_features == channels
    assert network.head_hidden_size == width
    assert set(network.pooling_prefixes) == {"projection.", "pooling.", "norm.", "head."} | {
        f"backbone.{part}." for part in parts
    }
    # The class token is a key of value 0, so the six patches share 6/7 of the weight.
    scaled = network.backbone.forward_head(tokens * 6 / 7, pre_logits=True)
    torch.testing.assert_close(network.forward_head(tokens, pre_logits=True), scaled, atol=1e-5, rtol=1e-4)
    assert torch.equal(network.attend(images).weights, torch.full((2, 1, 7), 1 / 7))


@pytest.mark.parametrize("name", BACKBONES)
@torch.no_grad()
def test_it_attends_as_patchconvnet_does(name: str) -> None:
    network, images = pooled(name), torch.randn(2, 3, 64, 96)
    for parameter in network.pooling.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.1)
    attended = network.attend(images)
    channels = BACKBONES[name][0]
    assert attended.grid == (2, 3)
    assert attended.logits.shape == (2, 3)
    assert attended.weights.shape == (2, 1, 7)
    assert attended.values.shape == (2, 7, channels)
    torch.testing.assert_close(attended.weights.sum(-1), torch.ones(2, 1))
    assert torch.equal(attended.logits, network(images))
    plain = network.attend(images, values=False)
    assert plain.values.shape == (2, 0, channels)
    assert torch.equal(plain.logits, attended.logits)
    assert torch.equal(plain.weights, attended.weights)
    from_values = network.tail(attended.weights @ attended.values)
    torch.testing.assert_close(from_values, attended.logits, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", BACKBONES)
def test_layer_decay_rises_from_stem_to_head(name: str) -> None:
    network = pooled(name)
    layers = group_parameters(network, network.group_matcher(), reverse=True)
    own = group_parameters(network.backbone, network.backbone.group_matcher(), reverse=True)
    last = max(layers.values())
    for parameter, layer in layers.items():
        behind = parameter.startswith(network.pooling_prefixes)
        assert layer == (last if behind else own[parameter.removeprefix("backbone.")])
    assert last >= 8
    groups = param_groups_layer_decay(
        network, no_weight_decay_list=network.no_weight_decay(), layer_decay=0.03 ** (1 / last)
    )
    scales = sorted({group["lr_scale"] for group in groups})
    assert len(scales) == last + 1
    assert scales[0] == pytest.approx(0.03)
    assert scales[-1] == 1


@pytest.mark.parametrize("name", BACKBONES)
def test_every_part_learns(name: str) -> None:
    network = pooled(name).train()
    with torch.no_grad():
        for parameter in network.pooling.parameters():  # a fresh pooling has branches that are exactly 0
            parameter.add_(torch.randn_like(parameter) * 0.1)
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
    network(torch.randn(2, 3, 64, 64)).square().sum().backward()
    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []


@torch.no_grad()
def test_maps_keep_float32_in_mixed_precision() -> None:
    network, images = pooled("regnety_002"), torch.randn(2, 3, 64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        attended = network.attend(images)
    assert attended.weights.dtype == torch.float32
    torch.testing.assert_close(attended.logits.float(), network(images), atol=0.05, rtol=0.05)


def test_a_fresh_pooling_gets_a_gradient_where_it_starts() -> None:
    network = pooled("mobilenetv3_small_100")
    network.forward_head(torch.randn(4, 576, 2, 2)).square().sum().backward()
    for name in ("q.bias", "v.weight", "proj.weight", "gamma_1", "gamma_2", "cls_token"):
        gradient = network.pooling.get_parameter(name).grad
        assert gradient is not None
        assert gradient.abs().max() > 0, name


@torch.no_grad()
def test_a_width_of_its_own_asks_for_a_projection() -> None:
    network = pooled("mobilenetv3_small_100", embed_dim=128)
    attended = network.attend(torch.randn(1, 3, 64, 64))
    assert network.projection.weight.shape == (128, 576, 1, 1)
    assert attended.values.shape == (1, 5, 128)
    assert network.head.in_features == network.head_hidden_size == 128
    assert not any(name.startswith("backbone.conv_head") for name, _ in network.named_parameters())
    assert network.forward_features(torch.randn(1, 3, 64, 64)).shape == (1, 576, 2, 2)


def test_its_settings_are_json_and_reach_the_backbone() -> None:
    settings = {"backbone": "mobilenetv2_100", "backbone_args": {"pad_type": "same"}}
    network = timm.create_model("attention_pooled", num_classes=2, **json.loads(json.dumps(settings)))
    assert type(network.backbone.conv_stem).__name__ == "Conv2dSame"
    assert network.pretrained_cfg["input_size"] == (3, 224, 224)
    assert network.pretrained_cfg["classifier"] == "head"


def test_drop_path_reaches_the_backbone() -> None:
    network = pooled("convnext_atto", drop_path_rate=0.3)
    assert any(getattr(module, "drop_prob", 0) == pytest.approx(0.3) for module in network.backbone.modules())


@torch.no_grad()
def test_reset_and_intermediates_follow_timm() -> None:
    network, images = pooled("resnet50"), torch.randn(1, 3, 64, 64)
    assert network.get_classifier() is network.head
    network.reset_classifier(9)
    assert network(images).shape == (1, 9)
    last, grids = network.forward_intermediates(images, indices=2)
    assert len(grids) == 2
    torch.testing.assert_close(last, network.forward_features(images))
    network.reset_classifier(0)
    assert network(images).shape == (1, 2048)
    with pytest.raises(ValueError, match="cannot be changed"):
        network.reset_classifier(2, global_pool="avg")
    features = timm.create_model("attention_pooled", backbone="resnet50", features_only=True, out_indices=(3, 4))
    assert [grid.shape[1] for grid in features(images)] == [1024, 2048]


def test_checkpointing_changes_no_gradient() -> None:
    network, images = pooled("regnety_002"), torch.randn(1, 3, 64, 64)
    network(images).sum().backward()
    expected = [parameter.grad.clone() for parameter in network.parameters() if parameter.grad is not None]
    network.zero_grad()
    network.set_grad_checkpointing()
    network.train()
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
    network(images).sum().backward()
    found = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": "no_such_net"}, "no backbone called 'no_such_net'"),
        ({"backbone": "patchconvnet_s60"}, "no backbone called"),
        ({"backbone": "levit_128s"}, "LevitDistilled gives no grid"),
        ({"backbone": "resnet18", "backbone_args": {"checkpoint_path": "x.pth"}}, "must not set checkpoint_path"),
        ({"backbone": "resnet18", "backbone_args": {"no_such": 1}}, "cannot be built with"),
    ],
)
def test_what_cannot_be_pooled_is_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        timm.create_model("attention_pooled", **options)


# name: tokens in front of the patches, a side of the grid, parts of the backbone behind its pooling
TRANSFORMERS = {
    "vit_tiny_patch16_224": (1, 14, ()),
    "deit_tiny_patch16_224": (1, 14, ()),
    "deit_tiny_distilled_patch16_224": (2, 14, ()),
    "test_vit2": (1, 10, ("fc_norm",)),  # pools by averaging
}


@pytest.mark.parametrize("name", TRANSFORMERS)
@torch.no_grad()
def test_a_transformer_is_pooled_by_its_patches(name: str) -> None:
    network, (prefix, side, parts) = pooled(name), TRANSFORMERS[name]
    backbone, number = network.backbone, side * side
    images = torch.randn(2, 3, *backbone.pretrained_cfg["input_size"][1:], generator=torch.Generator().manual_seed(1))
    sequence = backbone.forward_features(images)  # (B, prefix + N, C)
    tokens = network.forward_features(images)
    assert tokens.shape == (2, backbone.num_features, side, side)
    assert tokens.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(tokens[:, :, 3, 5], sequence[:, prefix + 3 * side + 5])
    assert network.pooling_prefixes[4:] == tuple(f"backbone.{part}." for part in parts)
    average = backbone.fc_norm(backbone.pool(sequence, pool_type="avg") * number / (number + 1))
    torch.testing.assert_close(network.forward_head(tokens, pre_logits=True), average, atol=1e-5, rtol=1e-4)
    attended = network.attend(images)
    assert attended.grid == (side, side)
    assert torch.equal(attended.weights, torch.full((2, 1, number + 1), 1 / (number + 1)))
    torch.testing.assert_close(network.tail(attended.weights @ attended.values), attended.logits, atol=1e-4, rtol=1e-4)


def test_a_transformer_learns_with_layer_decay() -> None:
    network = pooled("test_vit2").train()
    with torch.no_grad():
        for parameter in network.pooling.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    network(torch.randn(2, 3, 160, 160)).square().sum().backward()
    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []
    layers = group_parameters(network, network.group_matcher(), reverse=True)
    assert layers["backbone.patch_embed.proj.weight"] == 0 < layers["backbone.blocks.0.attn.qkv.weight"]
    assert layers["backbone.fc_norm.weight"] == layers["head.weight"] == max(layers.values())
    assert {"pooling.cls_token", "backbone.pos_embed", "backbone.cls_token"} <= network.no_weight_decay()
