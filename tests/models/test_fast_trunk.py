"""The fast forms answer as the network itself does: to rounding in float32, and to that of bfloat16 in bfloat16."""

import copy
import importlib.util

import numpy as np
import pytest
import torch
from torch import nn

from pcn_cli.models import fast_trunk
from pcn_cli.models.aggregation import AttentionPooled
from pcn_cli.models.fast_trunk import FUSED_FROM, TOGETHER, FastNetwork, FoldedTrunk, keep_layers, make_fast
from pcn_cli.models.patchconvnet import PatchConvNet
from pcn_cli.models.published import PatchConvNetSpec, from_published

CPU = torch.device("cpu")
GOLDEN = {
    "S60_2x224x224_seed0": PatchConvNetSpec(embed_dim=384, depth=60, num_classes=1000),
    "tiny_1x224x224_seed1": PatchConvNetSpec(embed_dim=64, depth=3, num_classes=10),
    "tiny_2x96x96_seed0": PatchConvNetSpec(embed_dim=64, depth=3, num_classes=10),
}


def moved(**options):
    """A network in which every scale and shift does something."""
    torch.manual_seed(0)
    network = PatchConvNet(**({"embed_dim": 32, "depth": 3, "num_classes": 5, "layer_scale": 0.3} | options))
    for name, parameter in network.named_parameters():
        if parameter.ndim == 1:
            nn.init.normal_(parameter, mean=float("weight" in name), std=0.3)
    return network.eval()


def apart(found, expected):
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("photos", [1, FUSED_FROM])
@pytest.mark.parametrize("name", GOLDEN)
@torch.no_grad()
def test_the_exact_form_gives_the_official_outputs(shared, name, photos):
    spec = importlib.util.spec_from_file_location("fill", shared / "golden" / "fill.py")
    rule = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(rule)
    golden, architecture = np.load(shared / "golden" / f"{name}.npz"), GOLDEN[name]
    network = PatchConvNet(
        embed_dim=architecture.embed_dim, depth=architecture.depth, num_classes=architecture.num_classes
    )
    shapes = architecture.shapes().items()
    network.load_state_dict(from_published({key: torch.from_numpy(rule.parameter(key, one)) for key, one in shapes}))
    batch, height, width = map(int, name.split("_")[-2].split("x"))
    images = torch.from_numpy(rule.images(batch, height, width, seed=int(name[-1])))
    repeated = images.repeat(-(-photos // batch), 1, 1, 1)
    attended = make_fast(network, device=CPU, precision="float32").attend(repeated)
    assert np.abs(attended.logits[:batch].numpy() - golden["logits"]).max() <= 2e-5
    assert np.abs(attended.weights[:batch].numpy() - golden["attention"]).max() <= 1e-6


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "plain"])
@pytest.mark.parametrize("class_tokens", [False, True])
@pytest.mark.parametrize(("photos", "height", "width"), [(1, 64, 48), (FUSED_FROM, 33, 70)])
def test_every_form_answers_as_the_network_does(monkeypatch, packed, class_tokens, photos, height, width):
    if not packed:
        monkeypatch.setattr(fast_trunk, "can_pack", lambda _: False)
    network = moved(class_tokens=class_tokens)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    images = torch.randn(photos, 3, height, width, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected, tokens = network.attend(images), network.forward_features(images)
        for precision, most in (("float32", 1e-5), ("bfloat16", 0.03)):
            fast = make_fast(network, device=CPU, precision=precision)
            found = fast.attend(images)
            assert fast.forward_features(images).dtype == torch.float32
            assert fast.forward_features(images).is_contiguous(memory_format=torch.channels_last)
            assert apart(fast.forward_features(images), tokens) < most
            assert apart(found.logits, expected.logits) < most
            assert apart(found.weights, expected.weights) < most
            assert (found.logits != expected.logits).any() or precision == "float32"
            torch.testing.assert_close(fast(images), found.logits)
            assert found.grid == expected.grid
            assert fast.tail(found.weights @ found.values).shape == found.logits.shape  # the network's own
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_the_images_are_left_as_they_are():
    network, images = moved(), torch.randn(FUSED_FROM, 3, 32, 32)
    given = images.clone()
    with torch.inference_mode():
        for precision in ("float32", "bfloat16"):
            make_fast(network, device=CPU, precision=precision)(images)
    assert torch.equal(images, given)


def test_a_backbone_in_bfloat16_is_near_itself_and_keeps_its_pooling_in_float32():
    torch.manual_seed(0)
    network = AttentionPooled(backbone="convnext_atto", num_classes=3).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        for make in (make_fast, keep_layers):
            assert make(network, device=CPU, precision="float32") is network
            found, expected = make(network, device=CPU, precision="bfloat16").attend(images), network.attend(images)
            assert found.logits.dtype == found.weights.dtype == torch.float32
            assert 0 < apart(found.logits, expected.logits) < 0.1


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_backbone_with_batch_norms_sees_some_photos_at_once(precision):
    torch.manual_seed(0)
    network, seen = AttentionPooled(backbone="mobilenetv3_small_050", num_classes=3).eval(), []
    images = torch.randn(TOGETHER + 3, 3, 32, 32)
    fast = make_fast(network, device=CPU, precision=precision)
    fast.backbone.conv_stem.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    with torch.inference_mode():
        found, expected = fast.forward_features(images), network.forward_features(images)
    assert seen == [TOGETHER, 3]
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert apart(found, expected) < (1e-5 if precision == "float32" else 0.1)


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "plain"])
@pytest.mark.parametrize("backbone", [None, "mobilenetv3_small_050"])
def test_with_mirror_every_form_says_the_same_of_a_photo_and_of_its_mirror_image(monkeypatch, packed, backbone):
    if not packed:
        monkeypatch.setattr(fast_trunk, "can_pack", lambda _: False)

    def make(**options):
        torch.manual_seed(0)
        return AttentionPooled(backbone=backbone, num_classes=3, **options) if backbone else moved(**options)

    network, plain = make(mirror=True).eval(), make().eval()
    images = torch.randn(FUSED_FROM, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = (plain.forward_features(images) + plain.forward_features(images.flip(3)).flip(3)) / 2
        assert apart(plain.forward_features(images), expected) > 0.1
        for precision, most in (("float32", 1e-5), ("bfloat16", 0.1)):
            for form in (make_fast, keep_layers):
                fast = form(network, device=CPU, precision=precision)
                assert apart(fast.forward_features(images), expected) < most
                found, turned = fast.attend(images), fast.attend(images.flip(3))
                torch.testing.assert_close(turned.logits, found.logits)
                maps = [one.weights[..., -24 if backbone is None else -6 :] for one in (found, turned)]
                maps = [one.unflatten(2, found.grid) for one in maps]
                torch.testing.assert_close(maps[1].flip(3), maps[0])
        # What learns sees photos as they are.
        assert torch.equal(network.train().forward_features(images), make().train().forward_features(images))


def test_few_photos_are_answered_by_the_layers_that_are_there(monkeypatch):
    monkeypatch.setattr(fast_trunk, "FoldedTrunk", lambda _: pytest.fail("nothing is folded"))
    network = moved()
    assert keep_layers(network, device=CPU, precision="float32") is network
    fast = keep_layers(network, device=CPU, precision="bfloat16")
    images = torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        assert 0 < apart(fast(images), network(images)) < 0.03


def test_what_is_folded_learns_nothing_and_changes_nothing():
    network = moved()
    kept = copy.deepcopy(network.state_dict())
    folded = FoldedTrunk(network)
    assert not any("gamma" in name or "norm" in name for name, _ in folded.named_parameters())
    assert all(torch.equal(tensor, kept[name]) for name, tensor in network.state_dict().items())


def test_an_unknown_name_is_told_of_the_network():
    fast = FastNetwork(moved(), lambda images: images)
    assert fast.embed_dim == 32
    with pytest.raises(AttributeError, match="nothing_such"):
        _ = fast.nothing_such
