from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
from torch import nn

from pcn_cli.errors import ModelError
from pcn_cli.models.build import change_pooling, make_model, pooling_of
from pcn_cli.models.sources.folder import load_model_folder, save_model_folder
from pcn_cli.records.model import ModelConfig, Preprocessing

CLASSES = ("cross", "leaf", "ring")
NETWORKS = {
    "patchconvnet": {"embed_dim": 16, "depth": 2},
    "attention_pooled": {"backbone": "mobilenetv3_small_050"},
}


def single(architecture: str) -> tuple[nn.Module, ModelConfig]:
    """A network with one class token whose weights are all drawn, so that every part of it counts."""
    torch.manual_seed(0)
    arguments = NETWORKS[architecture]
    model = make_model(architecture, len(CLASSES), arguments).eval()
    with torch.no_grad():
        for parameter in model.get_submodule("pooling").parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    config = ModelConfig(
        architecture=architecture,
        model_args=arguments,
        classes=CLASSES,
        preprocessing=Preprocessing(height=64, width=64),
    )
    return model, config


def images() -> torch.Tensor:
    return torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("architecture", NETWORKS)
@torch.no_grad()
def test_class_tokens_start_as_the_single_token_that_does_not_look_at_itself(architecture: str) -> None:
    model, config = single(architecture)
    changed, facts = change_pooling(model, config, "per-class", {})
    token = changed.pooling.cls_token
    parts = token - model.pooling.cls_token
    assert 0.01 < parts.std() < 0.03
    assert not torch.equal(token[0, 0], token[0, 1])
    token.copy_(model.pooling.cls_token.expand_as(token))  # without the parts of their own
    attended = model.attend(images())
    own = attended.weights[:, :, :1]
    pooled = (attended.weights @ attended.values - own * attended.values[:, :1]) / (1 - own)
    torch.testing.assert_close(changed.eval()(images()), model.tail(pooled), atol=1e-5, rtol=1e-5)
    assert facts == replace(config, model_args=config.model_args | {"class_tokens": True})


@pytest.mark.parametrize("architecture", NETWORKS)
@torch.no_grad()
def test_every_class_has_a_map_and_the_tail_works_for_each(architecture: str) -> None:
    changed, _ = change_pooling(*single(architecture), "per-class", {})
    attended = changed.eval().attend(images())
    rows, columns = attended.grid
    assert attended.weights.shape == (2, 3, rows * columns)
    torch.testing.assert_close(attended.weights.sum(-1), torch.ones(2, 3))
    assert not torch.equal(attended.weights[:, 0], attended.weights[:, 1])
    assert attended.values.shape[:2] == (2, rows * columns)
    torch.testing.assert_close(changed.tail(attended.weights @ attended.values), attended.logits, atol=1e-5, rtol=1e-5)
    hidden = attended.weights.clone()
    hidden[..., :2] = 0
    hidden /= hidden.sum(-1, keepdim=True)
    states = torch.stack([hidden, attended.weights]) @ attended.values  # two what-ifs at once: (2, B, K, d)
    torch.testing.assert_close(changed.tail(states)[1], attended.logits, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(changed.tail(states)[0], attended.logits)


@pytest.mark.parametrize("architecture", NETWORKS)
@torch.no_grad()
def test_a_network_with_class_tokens_comes_back_from_its_folder_and_from_timm(
    architecture: str, tmp_path: Path
) -> None:
    changed, facts = change_pooling(*single(architecture), "per-class", {})
    save_model_folder(tmp_path, changed, facts)
    expected = changed.eval()(images())
    again, config = load_model_folder(tmp_path)
    assert pooling_of(config) == "per-class"
    assert torch.equal(again(images()), expected)
    assert torch.equal(timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()(images()), expected)


@pytest.mark.parametrize("architecture", NETWORKS)
@torch.no_grad()
def test_new_classes_get_new_tokens_around_the_mean_of_the_old(architecture: str) -> None:
    changed, _ = change_pooling(*single(architecture), "per-class", {})
    before = changed.pooling.cls_token.mean(dim=1)
    changed.reset_classifier(5)
    assert changed.pooling.cls_token.shape[1] == 5
    assert (changed.pooling.cls_token - before).abs().max() < 0.1
    assert changed.eval()(images()).shape == (2, 5)


def test_asking_for_what_is_there_changes_nothing() -> None:
    model, config = single("patchconvnet")
    assert change_pooling(model, config, "single", {}) == (model, config)
    changed = change_pooling(model, config, "per-class", {})
    assert change_pooling(*changed, "per-class", {}) == changed


def test_class_tokens_do_not_become_a_single_one() -> None:
    changed = change_pooling(*single("patchconvnet"), "per-class", {})
    with pytest.raises(ModelError, match="cannot become a single one") as caught:
        change_pooling(*changed, "single", {})
    assert "leave --pooling out" in caught.value.hint


@pytest.mark.parametrize(
    ("architecture", "arguments", "pooling"),
    [
        ("patchconvnet_s60", {}, "single"),
        ("patchconvnet_s60_multi", {}, "per-class"),
        ("patchconvnet_s60", {"class_tokens": True}, "per-class"),
        ("attention_pooled", {"backbone": "resnet50"}, "single"),
    ],
)
def test_the_facts_tell_the_pooling(architecture: str, arguments: dict, pooling: str) -> None:
    _, config = single("patchconvnet")
    assert pooling_of(replace(config, architecture=architecture, model_args=arguments)) == pooling
