import importlib.util
import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from timm.models import group_parameters
from timm.optim import param_groups_layer_decay
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import pcn_cli.models.entrypoints  # noqa: F401 - importing is registering
from pcn_cli.models.patchconvnet import PatchConvNet
from pcn_cli.models.published import PatchConvNetSpec, from_published, to_published
from pcn_cli.models.zoo import CARDS

GOLDEN = {
    "S60_2x224x224_seed0": PatchConvNetSpec(embed_dim=384, depth=60, num_classes=1000),
    "S60_multi_1x224x224_seed3": PatchConvNetSpec(embed_dim=384, depth=60, num_classes=1000, class_tokens=True),
    "tiny_1x224x224_seed1": PatchConvNetSpec(embed_dim=64, depth=3, num_classes=10),
    "tiny_2x96x96_seed0": PatchConvNetSpec(embed_dim=64, depth=3, num_classes=10),
}


def fill(shared: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("fill", shared / "golden" / "fill.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def filled(shared: Path, architecture: PatchConvNetSpec) -> PatchConvNet:
    rule = fill(shared)
    shapes = architecture.shapes()
    network = PatchConvNet(
        embed_dim=architecture.embed_dim,
        depth=architecture.depth,
        num_classes=architecture.num_classes,
        class_tokens=architecture.class_tokens,
    )
    tensors = {name: torch.from_numpy(rule.parameter(name, shape)) for name, shape in shapes.items()}
    network.load_state_dict(from_published(tensors))
    back = to_published(network.state_dict())
    assert list(back) == list(shapes)
    assert all(torch.equal(back[name], tensor) for name, tensor in tensors.items())
    return network.eval()


def small(**options: int | float | bool) -> PatchConvNet:
    torch.manual_seed(0)
    network = PatchConvNet(**({"embed_dim": 16, "depth": 3, "num_classes": 5, "layer_scale": 0.5} | options))
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2)
    return network.eval()


def distance(ours: Tensor, golden: np.ndarray) -> float:
    return float(np.abs(ours.numpy() - golden).max())


@pytest.mark.parametrize("name", GOLDEN)
@torch.no_grad()
def test_the_official_outputs_come_out(shared: Path, name: str) -> None:
    golden = np.load(shared / "golden" / f"{name}.npz")
    multi = GOLDEN[name].class_tokens
    batch, height, width = map(int, name.split("_")[-2].split("x"))
    images = torch.from_numpy(fill(shared).images(batch, height, width, seed=int(name[-1])))
    network = filled(shared, GOLDEN[name])
    tokens = network.forward_features(images)
    attended = network.attend_tokens(tokens)
    flat = tokens.flatten(2)
    assert attended.grid == (height // 16, width // 16)
    assert distance(attended.logits, golden["logits"]) <= 2e-5
    assert distance(attended.weights[:, ::50] if multi else attended.weights, golden["attention"]) <= 1e-6
    features = network.forward_head(tokens, pre_logits=True)
    assert distance(features[:, ::50] if multi else features, golden["features"]) <= 2e-5
    assert distance(flat[..., 0], golden["tokens_first"]) <= 5e-5
    assert distance(flat[..., -1], golden["tokens_last"]) <= 5e-5
    assert distance(flat.mean(-1), golden["tokens_mean"]) <= 5e-5
    stem = network.stem(images).flatten(2)
    assert distance(stem[..., -1], golden["stem_last"]) <= 1e-5


def plain_forward(network: PatchConvNet, images: Tensor) -> tuple[Tensor, Tensor]:
    """The layers of the description, written as plainly as possible, on NCHW memory."""
    weights = network.state_dict()

    def linear(name: str, x: Tensor) -> Tensor:
        return x @ weights[f"{name}.weight"].flatten(1).T + weights[f"{name}.bias"]

    def norm(name: str, x: Tensor) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], 1e-6)

    x = images
    for i in range(4):
        x = F.conv2d(x if i == 0 else F.gelu(x), weights[f"stem.{i}.weight"], stride=2, padding=1)
    B, C, H, W = x.shape
    x = x.flatten(2).transpose(1, 2)  # (B, N, C)
    for i in range(len(network.blocks)):
        block = f"blocks.{i}"
        y = F.gelu(linear(f"{block}.conv_pw", norm(f"{block}.norm", x)))
        kernel, bias = weights[f"{block}.conv_dw.weight"], weights[f"{block}.conv_dw.bias"]
        grid = F.conv2d(y.transpose(1, 2).reshape(B, C, H, W), kernel, bias, padding=1, groups=C)
        y = F.gelu(grid).flatten(2).transpose(1, 2)
        gate = linear(f"{block}.se.conv_expand", F.relu(linear(f"{block}.se.conv_reduce", y.mean(1, keepdim=True))))
        x = x + weights[f"{block}.gamma"] * linear(f"{block}.conv_pwl", y * gate.sigmoid())
    cls = weights["pooling.cls_token"].expand(B, -1, -1)
    T = cls.shape[1]
    u = norm("pooling.norm1", torch.cat([cls, x], 1))
    keys = u[:, T:] if network.class_tokens else u
    scores = linear("pooling.q", u[:, :T]) @ linear("pooling.k", keys).transpose(1, 2) * C**-0.5
    attention = scores.softmax(-1)
    cls = cls + weights["pooling.gamma_1"] * linear("pooling.proj", attention @ linear("pooling.v", keys))
    hidden = F.gelu(linear("pooling.fc1", norm("pooling.norm2", cls)))
    cls = norm("norm", cls + weights["pooling.gamma_2"] * linear("pooling.fc2", hidden))
    if network.class_tokens:
        return torch.stack([cls[:, k] @ weights["head.weight"][k, 0] for k in range(T)], 1) + weights[
            "head.bias"
        ], attention
    return linear("head", cls[:, 0]), attention


@pytest.mark.parametrize("class_tokens", [False, True])
@pytest.mark.parametrize("size", [(224, 320), (320, 192), (64, 256), (33, 70), (16, 16), (1, 1)])
@torch.no_grad()
def test_any_height_and_width_keeps_the_true_grid(size: tuple[int, int], class_tokens: bool) -> None:
    network = small(class_tokens=class_tokens)
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    logits, weights = plain_forward(network, images)
    attended = network.attend(images)
    grid = (math.ceil(size[0] / 16), math.ceil(size[1] / 16))
    assert attended.grid == grid
    assert network.forward_features(images).shape == (2, 16, *grid)
    torch.testing.assert_close(attended.logits, logits, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(attended.weights, weights, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("class_tokens", [False, True])
@torch.no_grad()
def test_weights_times_values_are_what_the_tail_needs(class_tokens: bool) -> None:
    network = small(class_tokens=class_tokens)
    attended = network.attend(torch.randn(2, 3, 48, 80))
    keys = 15 if class_tokens else 16
    assert attended.weights.shape == (2, 5 if class_tokens else 1, keys)
    assert attended.values.shape == (2, keys, 16)
    torch.testing.assert_close(attended.weights.sum(-1), torch.ones(attended.weights.shape[:2]))
    torch.testing.assert_close(network.tail(attended.weights @ attended.values), attended.logits, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_forward_and_attend_give_the_same_logits() -> None:
    network, images = small(), torch.randn(2, 3, 48, 80)
    assert torch.equal(network(images), network.attend(images).logits)


class Copies(TorchDispatchMode):
    """Counts what moves memory without computing anything."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket.__name__ in {"copy_", "clone", "_to_copy", "contiguous"}:
            self.names.append(f"{func} {tuple(args[0].shape)}")
        return func(*args, **(kwargs or {}))


@torch.no_grad()
def test_channels_last_is_kept_without_copies() -> None:
    network = small(embed_dim=32)
    images = torch.randn(2, 3, 96, 64).contiguous(memory_format=torch.channels_last)
    with Copies() as copies:
        tokens = network.forward_features(images)
    assert copies.names == []
    assert tokens.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_every_card_is_a_network_of_timm(card) -> None:
    assert card.network.architecture in timm.list_models("patchconvnet*")
    with torch.device("meta"):
        network = timm.create_model(card.full_name)
    assert sum(p.numel() for p in network.parameters()) == card.parameters
    assert network.pretrained_cfg["tag" if card.tag else "architecture"] == (card.tag or card.network.architecture)
    assert network.pretrained_cfg["input_size"] == (3, card.input_size, card.input_size)
    assert network.pretrained_cfg["crop_pct"] == card.preprocessing.crop_pct


@pytest.mark.parametrize(
    ("name", "millions"), [("s60", 25_231_096), ("b60", 99_388_936), ("l60", 176_009_576), ("l120", 334_294_376)]
)
def test_the_sizes_have_the_published_number_of_parameters(name: str, millions: int) -> None:
    with torch.device("meta"):
        network = timm.create_model(f"patchconvnet_{name}")
    assert sum(p.numel() for p in network.parameters()) == millions


def test_the_tag_with_weights_is_the_default() -> None:
    assert timm.models.get_pretrained_cfg("patchconvnet_s60").tag == "fb_in22k_ft_in1k"
    assert "patchconvnet_s60.fb_in1k" in timm.list_models("patchconvnet*", pretrained=True)
    assert "patchconvnet_l60" not in timm.list_models("patchconvnet*", pretrained=True)


def test_layer_decay_gives_every_depth_its_scale() -> None:
    with torch.device("meta"):
        network = timm.create_model("patchconvnet_s60.fb_in22k_ft_in1k", num_classes=5)
    layers = group_parameters(network, network.group_matcher(), reverse=True)
    assert max(layers.values()) == 61  # stem, 60 blocks, everything behind the tokens
    ratio = 0.03 ** (1 / 61)
    assert ratio == pytest.approx(0.944, abs=5e-4)
    scale = {}
    names = {id(p): name for name, p in network.named_parameters()}
    for group in param_groups_layer_decay(network, no_weight_decay_list=network.no_weight_decay(), layer_decay=ratio):
        for parameter in group["params"]:
            name = names[id(parameter)]
            scale[name] = group["lr_scale"]
            assert (group["weight_decay"] == 0) == (parameter.ndim == 1 or name == "pooling.cls_token")
    depths = [{s for n, s in scale.items() if n.startswith(f"blocks.{i}.")} for i in range(60)]
    stem = {s for n, s in scale.items() if n.startswith("stem.")}
    head = {s for n, s in scale.items() if n.startswith(network.pooling_prefixes)}
    ladder = [stem, *depths, head]
    assert all(len(rung) == 1 for rung in ladder)
    scales = [rung.pop() for rung in ladder]
    assert scales == sorted(scales)
    assert len(set(scales)) == 62
    assert scales[0] == pytest.approx(0.03)
    assert scales[-1] == 1


def test_coarse_groups_are_stem_trunk_and_head() -> None:
    network = small()
    layers = group_parameters(network, network.group_matcher(coarse=True), reverse=True)
    assert {layers["stem.0.weight"], layers["blocks.2.gamma"], layers["head.bias"]} == {0, 1, 2}


@pytest.mark.parametrize("class_tokens", [False, True])
def test_a_reset_classifier_has_the_new_classes(class_tokens: bool) -> None:
    network = small(class_tokens=class_tokens)
    assert network.get_classifier() is network.head
    network.reset_classifier(7)
    assert network(torch.randn(1, 3, 32, 32)).shape == (1, 7)
    assert network.num_classes == 7
    assert network.head.weight.std().item() == pytest.approx(0.02, rel=0.3)
    network.reset_classifier(0)
    assert network(torch.randn(1, 3, 32, 32)).shape[-1] == 16
    with pytest.raises(ValueError, match="cannot be changed to 'avg'"):
        network.reset_classifier(3, global_pool="avg")


@torch.no_grad()
def test_intermediates_are_the_outputs_of_blocks() -> None:
    network, images = small(), torch.randn(1, 3, 32, 48)
    last, both = network.forward_intermediates(images, indices=[0, 2])
    assert len(both) == 2
    assert torch.equal(last, network.forward_features(images))
    assert torch.equal(both[1], last)
    (first,) = network.forward_intermediates(images, indices=[0], stop_early=True, intermediates_only=True)
    assert torch.equal(first, both[0])
    (channels_last,) = network.forward_intermediates(images, indices=1, output_fmt="NHWC", intermediates_only=True)
    assert channels_last.shape == (1, 2, 3, 16)
    with pytest.raises(ValueError, match="norm=False"):
        network.forward_intermediates(images, norm=True)


@torch.no_grad()
def test_features_only_gives_grids() -> None:
    network = timm.create_model("patchconvnet", features_only=True, embed_dim=16, depth=4, out_indices=(1, 3))
    grids = network(torch.randn(1, 3, 64, 32))
    assert [grid.shape for grid in grids] == [(1, 16, 4, 2)] * 2
    assert network.feature_info.channels() == [16, 16]
    assert network.feature_info.reduction() == [16, 16]
    assert (
        len(timm.create_model("patchconvnet", features_only=True, embed_dim=16, depth=4)(torch.randn(1, 3, 32, 32)))
        == 3
    )


def test_checkpointing_changes_no_gradient() -> None:
    network, images = small(depth=10).train(), torch.randn(2, 3, 32, 32)
    network(images).sum().backward()
    expected = {name: parameter.grad.clone() for name, parameter in network.named_parameters()}
    network.zero_grad()
    network.set_grad_checkpointing()
    network(images).sum().backward()
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name])


@pytest.mark.parametrize(("precision", "bound"), [(torch.float32, 1e-5), (torch.bfloat16, 0.02)])
def test_what_training_folds_learns_what_the_layers_learn(precision: torch.dtype, bound: float) -> None:
    # In float64 the layers, as they answer, give the gradient that is true.
    network, images = small(embed_dim=32), torch.randn(4, 3, 64, 64)
    true = small(embed_dim=32).double()
    true(images.double()).square().sum().backward()
    network.train()
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
        logits = network(images).float()
    logits.square().sum().backward()
    expected = dict(true.named_parameters())
    assert len(expected) > 40
    for name, parameter in network.named_parameters():
        wanted = expected[name].grad
        assert parameter.grad.dtype == torch.float32
        if wanted.norm() > 1e-6:  # what a softmax ignores has none
            assert (parameter.grad - wanted).norm() / wanted.norm() < bound, name


def test_drop_path_is_constant_over_depth_and_spares_the_pooling() -> None:
    network = small(drop_path_rate=0.25)
    assert [block.drop_path.drop_prob for block in network.blocks] == [0.25] * 3
    assert not any("drop_path" in name for name, _ in network.pooling.named_modules())


@pytest.mark.parametrize("option", ["drop_path_rate", "drop_rate"])
def test_dropouts_act_in_training_only(option: str) -> None:
    network, images = small(**{option: 0.5}), torch.randn(2, 3, 64, 64)
    plain = small()
    assert torch.equal(network(images), plain(images))
    network.train()
    assert not torch.allclose(network(images), plain(images))


def test_one_photo_trains() -> None:
    network = small().train()
    network(torch.randn(1, 3, 32, 32)).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@torch.no_grad()
def test_mixed_precision_keeps_the_residual_stream_in_float32() -> None:
    network, images = small(), torch.randn(2, 3, 64, 64)
    streams: list[Tensor] = []
    for block in network.blocks:
        block.register_forward_hook(lambda _module, _inputs, output: streams.append(output))
    with torch.autocast("cpu", torch.bfloat16):
        attended = network.attend(images)
    assert {stream.dtype for stream in streams} == {torch.float32}
    assert attended.weights.dtype == torch.float32
    torch.testing.assert_close(attended.logits.float(), network(images), atol=0.1, rtol=0.05)


def test_initial_values_are_the_described_ones() -> None:
    torch.manual_seed(0)
    network = timm.create_model("patchconvnet_s60", num_classes=5)
    assert all(bool((block.gamma == 1e-4).all()) for block in network.blocks)
    for weight in (
        network.pooling.cls_token,
        network.pooling.q.weight,
        network.pooling.fc1.weight,
        network.head.weight,
    ):
        assert weight.std().item() == pytest.approx(0.02, rel=0.15)
    assert not network.pooling.fc1.bias.any()
    with torch.device("meta"):
        assert timm.create_model("patchconvnet_s120").pooling.embed_dim == 384


def test_a_width_that_does_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 8, found 60"):
        PatchConvNet(embed_dim=60, depth=1)
