from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from pcn_cli.errors import ModelError
from pcn_cli.models import entrypoints
from pcn_cli.models.published import SIZES, PatchConvNetSpec, from_published
from pcn_cli.models.zoo import Card

TINY = {"embed_dim": 16, "depth": 2}


def tensors(**size: int | bool) -> dict[str, torch.Tensor]:
    shapes = PatchConvNetSpec(**(TINY | {"num_classes": 6} | size)).shapes()
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


@pytest.mark.parametrize("layout", ["bare", "model", "module", "model_ema", "ours"])
def test_a_file_in_any_layout_loads_through_timm(tmp_path: Path, layout: str) -> None:
    published = tensors()
    content = {
        "bare": published,
        "model": {"model": published},
        "module": {"model": {f"module.{name}": tensor for name, tensor in published.items()}},
        "model_ema": {"model_ema": published},
        "ours": from_published(published),
    }[layout]
    torch.save(content, tmp_path / "weights.pth")
    network = timm.create_model(
        "patchconvnet",
        pretrained=True,
        pretrained_cfg_overlay={"file": str(tmp_path / "weights.pth"), "num_classes": 6},
        **TINY,
    )
    assert network.num_classes == 6
    assert all(torch.equal(network.state_dict()[name], tensor) for name, tensor in from_published(published).items())


def test_other_classes_get_new_tokens_and_a_new_head(tmp_path: Path) -> None:
    save_file(
        {k: v.contiguous() for k, v in from_published(tensors(class_tokens=True)).items()}, tmp_path / "w.safetensors"
    )
    overlay = {"file": str(tmp_path / "w.safetensors"), "num_classes": 6}
    network = timm.create_model(
        "patchconvnet", pretrained=True, num_classes=3, class_tokens=True, pretrained_cfg_overlay=overlay, **TINY
    )
    assert network.pooling.cls_token.shape == (1, 3, 16)
    assert torch.equal(network.blocks[1].gamma, tensors(class_tokens=True)["blocks.1.gamma_1"])


def test_other_input_channels_are_adapted(tmp_path: Path) -> None:
    save_file({k: v.contiguous() for k, v in from_published(tensors()).items()}, tmp_path / "w.safetensors")
    overlay = {"file": str(tmp_path / "w.safetensors"), "num_classes": 6}
    network = timm.create_model("patchconvnet", pretrained=True, in_chans=1, pretrained_cfg_overlay=overlay, **TINY)
    expected = tensors()["patch_embed.proj.0.0.weight"].sum(1, keepdim=True)
    torch.testing.assert_close(network.stem[0].weight, expected)


def test_published_weights_come_through_our_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[str] = []

    def fetch(card: Card) -> Path:
        asked.append(card.full_name)
        raise ModelError("refused")

    monkeypatch.setattr(entrypoints, "Fetcher", lambda: fetch)
    for name in ("patchconvnet_s60.fb_in1k", "patchconvnet_s60"):
        with pytest.raises(ModelError, match="refused"):
            timm.create_model(name, pretrained=True)
    assert asked == ["patchconvnet_s60.fb_in1k", "patchconvnet_s60.fb_in22k_ft_in1k"]


def test_nothing_is_fetched_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entrypoints, "Fetcher", lambda: pytest.fail("nobody asked"))
    with torch.device("meta"):
        timm.create_model("patchconvnet_s60.fb_in22k_ft_in1k", num_classes=4)


def test_every_size_is_listed_and_kept_apart_from_timms_own() -> None:
    sizes = {f"patchconvnet_{size}{kind}" for size in SIZES for kind in ("", "_multi", "_pyramid")}
    assert set(timm.list_models("patchconvnet*")) == {"patchconvnet", "patchconvnet_pyramid", *sizes}
    assert timm.is_model("attention_pooled")
