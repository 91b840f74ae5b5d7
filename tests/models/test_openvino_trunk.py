"""OpenVINO gives the tokens that torch gives, or torch goes on alone."""

import logging
import sys

import pytest
import torch
from torch import nn

from pcn_cli.errors import RecipeError, ResourceError
from pcn_cli.models import openvino_trunk
from pcn_cli.models.aggregation import AttentionPooled
from pcn_cli.models.fast_trunk import make_fast
from pcn_cli.models.openvino_trunk import OpenVinoTrunk, with_openvino
from pcn_cli.models.patchconvnet import PatchConvNet
from pcn_cli.stages.inference import load
from pcn_cli.stages.inference.load import for_inference, settle_engine

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def cache(folder, monkeypatch):
    """One cache for all tests: what one of them converted the others find."""
    monkeypatch.setenv("PCN_CACHE", str(folder))
    return folder


@pytest.fixture(scope="module")
def network():
    """A network in which every scale and shift does something."""
    torch.manual_seed(0)
    made = PatchConvNet(embed_dim=32, depth=2, num_classes=5, layer_scale=0.3)
    for name, parameter in made.named_parameters():
        if parameter.ndim == 1:
            nn.init.normal_(parameter, mean=float("weight" in name), std=0.3)
    return made.eval()


@pytest.fixture
def unconvertible(monkeypatch):
    monkeypatch.setattr(openvino_trunk, "_convert", lambda *_: pytest.fail("it was converted before"))


def draw(photos, *size):
    images = torch.randn(photos, 3, *size, generator=torch.Generator().manual_seed(photos))
    return images.contiguous(memory_format=torch.channels_last)


def apart(found, expected):
    return float((found - expected).norm() / expected.norm())


@torch.inference_mode()
def test_any_number_of_photos_has_the_tokens_of_torch_in_the_same_layout(network, caplog):
    fast = make_fast(network, device=CPU, precision="float32")
    ready = with_openvino(network, fast, precision="float32")
    for photos in (3, 1, 8):
        images = draw(photos, 48, 32)
        given = images.clone()
        found, expected = ready.forward_features(images), network.forward_features(images)
        assert apart(found, expected) < 1e-5
        assert found.dtype == torch.float32
        assert found.is_contiguous(memory_format=torch.channels_last)
        assert apart(ready.attend(images).logits, network.attend(images).logits) < 1e-5
        assert torch.equal(images, given)
    assert ready._trunk._compiled[48, 32] is not None
    # Of all that its converter does not know and nobody asked for nothing is said.
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@torch.inference_mode()
def test_what_was_converted_is_found_again_and_computes_in_bfloat16_too(network, unconvertible):
    ready = with_openvino(network, make_fast(network, device=CPU, precision="bfloat16"), precision="bfloat16")
    images = draw(2, 48, 32)
    assert apart(ready.forward_features(images), network.forward_features(images)) < 0.03
    assert ready._trunk._compiled[48, 32] is not None


@torch.inference_mode()
def test_other_weights_are_not_taken_for_these(network, monkeypatch):
    with torch.inference_mode(mode=False), torch.no_grad():
        other = PatchConvNet(embed_dim=32, depth=2, num_classes=5, layer_scale=0.3).eval()
        other.load_state_dict(network.state_dict())
        other.blocks[1].conv_pwl.bias[3] += 1e-3
    asked = []
    monkeypatch.setattr(openvino_trunk, "_convert", lambda *_: asked.append(True) or b"")
    with_openvino(other, make_fast(other, device=CPU, precision="float32"), precision="float32")(draw(1, 48, 32))
    assert asked


@torch.inference_mode()
def test_what_sees_mirror_images_too_is_not_taken_for_what_does_not(network):
    with torch.inference_mode(mode=False):
        other = PatchConvNet(embed_dim=32, depth=2, num_classes=5, layer_scale=0.3, mirror=True).eval()
        other.load_state_dict(network.state_dict())
    ready = with_openvino(other, make_fast(other, device=CPU, precision="float32"), precision="float32")
    images = draw(2, 48, 32)
    assert apart(ready.forward_features(images), other.forward_features(images)) < 1e-5
    assert ready._trunk._compiled[48, 32] is not None


def test_a_trunk_is_found_again_whatever_its_head_has_learned():
    def key(classes, *, seed=0, weight=0.0, mirror=False):
        torch.manual_seed(0)
        network = AttentionPooled(backbone="mobilenetv3_small_050", num_classes=classes, mirror=mirror).eval()
        torch.manual_seed(seed)
        with torch.no_grad():
            nn.init.normal_(network.head.weight)
            next(network.backbone.parameters()).add_(weight)
        return openvino_trunk._hash(openvino_trunk._Exported(network), draw(1, 64, 64))

    assert key(3) == key(3, seed=1) == key(4)
    assert key(3) != key(3, weight=1e-3)
    assert key(3) != key(3, mirror=True)


@torch.inference_mode()
def test_where_tokens_differ_or_nothing_can_be_made_torch_goes_on_alone(network, caplog, monkeypatch, unconvertible):
    images, other = draw(2, 48, 32), draw(3, 48, 32)
    wrong = OpenVinoTrunk(network, lambda images: network.forward_features(images) * 1.001, "float32")
    assert torch.equal(wrong(images), network.forward_features(images) * 1.001)
    assert torch.equal(wrong(other), network.forward_features(other) * 1.001)
    broken = OpenVinoTrunk(network, network.forward_features, "float32")
    monkeypatch.setattr(openvino_trunk, "_compile", lambda *_, **__: (_ for _ in ()).throw(RuntimeError("no such op")))
    assert torch.equal(broken(images), network.forward_features(images))
    differ, cannot = caplog.messages
    assert differ.startswith("openvino's tokens differ by 0.001")
    assert "no such op" in cannot
    assert all(record.levelno == logging.WARNING for record in caplog.records)


@pytest.mark.slow
@torch.inference_mode()
def test_a_backbone_of_timm_has_the_tokens_of_torch():
    torch.manual_seed(0)
    network = AttentionPooled(backbone="mobilenetv3_small_050", num_classes=3).eval()
    ready = with_openvino(network, make_fast(network, device=CPU, precision="float32"), precision="float32")
    for photos in (2, 5):
        assert (
            apart(ready.forward_features(draw(photos, 64, 64)), network.forward_features(draw(photos, 64, 64))) < 1e-4
        )
    assert ready._trunk._compiled[64, 64] is not None


def test_openvino_is_asked_only_where_it_pays(network, monkeypatch):
    other = nn.Identity()

    def engine(one, precision, photos, device=CPU):
        name, reason = settle_engine(one, device, precision=precision, photos=photos)
        assert reason
        return name

    assert engine(other, "float32", load.FEWEST_CONVERTED - 1) == "torch"
    assert engine(other, "float32", load.FEWEST_CONVERTED) == "openvino"
    assert engine(network, "float32", 10**6) == "torch"
    assert engine(network, "bfloat16", load.FEWEST_CONVERTED_PATCHCONVNET - 1) == "torch"
    assert engine(network, "bfloat16", load.FEWEST_CONVERTED_PATCHCONVNET) == "openvino"
    assert engine(other, "float32", 10**6, torch.device("cuda")) == "torch"
    facts = {"precision": "float32", "photos": 1}
    for asked in ("torch", "openvino"):
        assert settle_engine(network, CPU, asked=asked, **facts) == (asked, "as asked for")
    with pytest.raises(RecipeError, match="openvino has no effect on cuda"):
        settle_engine(other, torch.device("cuda"), asked="openvino", **facts)
    monkeypatch.setattr(load, "find_spec", lambda _: None)
    assert engine(other, "float32", 10**6) == "torch"
    with pytest.raises(ResourceError, match="needs openvino") as refused:
        settle_engine(other, CPU, asked="openvino", **facts)
    assert refused.value.hint == "pip install 'pcn-cli[cpu]'"


@torch.inference_mode()
def test_many_photos_are_answered_by_openvino_and_without_the_extra_it_is_not_imported(
    network, monkeypatch, unconvertible
):
    monkeypatch.setattr(load, "FEWEST_CONVERTED_PATCHCONVNET", 9)
    images = draw(2, 48, 32)
    many = for_inference(network, CPU, precision="bfloat16", photos=9)
    many.forward_features(images)
    assert many._trunk._compiled[48, 32] is not None
    changing = for_inference(network, CPU, precision="bfloat16", photos=9, engine="torch")
    assert not isinstance(changing._trunk, OpenVinoTrunk)
    monkeypatch.setattr(load, "find_spec", lambda _: None)
    monkeypatch.delitem(sys.modules, "pcn_cli.models.openvino_trunk")
    for_inference(network, CPU, precision="bfloat16", photos=9).forward_features(images)
    assert "pcn_cli.models.openvino_trunk" not in sys.modules
