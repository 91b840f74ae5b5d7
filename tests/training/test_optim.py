"""Rates, decay, schedule and average are what the plan says."""

import pytest
import torch
from standin import Standin
from timm.utils import ModelEmaV3
from torch import nn

from pcn_cli.errors import ModelError
from pcn_cli.models.patchconvnet import PatchConvNet
from pcn_cli.training.optim import (
    average_decay,
    choose_trainable,
    fresh_norms,
    layer_scales,
    make_optimizer,
    make_schedule,
    set_training_mode,
    trunk_layer_decay,
)


@pytest.mark.parametrize("depth", [2, 60])
def test_rates_rise_from_the_stem_to_the_head_by_the_end_to_end_ratio(depth: int) -> None:
    model = Standin(depth=depth)
    scales = layer_scales(model, 0.03)
    path = ["stem.weight", *(f"blocks.{n}.conv.weight" for n in range(depth)), "pool.weight", "head.weight"]
    along = [scales[name] for name in path]
    assert along == sorted(along)
    assert len(set(along)) == depth + 3
    assert along[0] == pytest.approx(0.03)
    assert along[-1] == 1.0
    assert trunk_layer_decay(model, 0.03) == pytest.approx(0.03 ** (1 / (depth + 2)))
    optimizer = make_optimizer(model, lr=1e-3, weight_decay=0.05, trunk_ratio=0.03)
    given = {id(p): group["lr_scale"] for group in optimizer.param_groups for p in group["params"]}
    assert {name: given[id(p)] for name, p in model.named_parameters()} == scales


@pytest.mark.parametrize("class_tokens", [False, True])
def test_the_column_of_60_blocks_gets_a_rate_per_depth(class_tokens: bool) -> None:
    model = PatchConvNet(embed_dim=16, depth=60, num_classes=3, class_tokens=class_tokens)
    scales = layer_scales(model, 0.03)
    along = [next(s for name, s in scales.items() if name.startswith(f"blocks.{n}.")) for n in range(60)]
    assert along == sorted(set(along))
    assert {s for name, s in scales.items() if name.startswith("stem.")} == {min(scales.values())}
    assert min(scales.values()) == pytest.approx(0.03)
    assert min(scales.values()) < along[0]
    assert along[-1] < 1.0 == scales[next(name for name in scales if name.startswith("head."))]
    assert trunk_layer_decay(model, 0.03) == pytest.approx(0.944, abs=1e-3)
    optimizer = make_optimizer(model, lr=1e-3, weight_decay=0.05, trunk_ratio=0.03)
    spared = {id(p) for group in optimizer.param_groups if group["weight_decay"] == 0 for p in group["params"]}
    names = {name for name, p in model.named_parameters() if id(p) in spared and p.ndim > 1}
    assert names == {"pooling.cls_token"}


@pytest.mark.parametrize("ratio", [0.03, 1.0])
def test_weight_decay_spares_one_dimensional_tensors_and_class_tokens(ratio: float) -> None:
    model = Standin()
    optimizer = make_optimizer(model, lr=1e-3, weight_decay=0.05, trunk_ratio=ratio)
    decayed = {id(p) for group in optimizer.param_groups if group["weight_decay"] == 0.05 for p in group["params"]}
    spared = {id(p) for group in optimizer.param_groups if group["weight_decay"] == 0 for p in group["params"]}
    assert decayed.isdisjoint(spared)
    names = {name for name, p in model.named_parameters() if id(p) in decayed}
    assert names == {name for name, p in model.named_parameters() if p.ndim > 1 and name != "cls_token"}
    assert optimizer.defaults["betas"] == (0.9, 0.999)
    assert optimizer.defaults["fused"] is True


def test_a_network_whose_layers_are_not_ordered_is_refused() -> None:
    class Backwards(Standin):
        def group_matcher(self, coarse: bool = False) -> dict[str, object]:
            return {"head": r"^head", "rest": r"^blocks\.(\d+)"}

    with pytest.raises(ModelError, match="Backwards does not order its layers"):
        make_optimizer(Backwards(), lr=1e-3, weight_decay=0.05, trunk_ratio=0.03)

    class Flat(Standin):
        def group_matcher(self, coarse: bool = False) -> dict[str, object]:
            return {"all": r"^"}

    with pytest.raises(ModelError, match="Flat tells no layers apart"):
        trunk_layer_decay(Flat(), 0.03)


def test_tuning_modes_choose_what_learns() -> None:
    model = Standin(norm=nn.BatchNorm2d)
    pooling = {"cls_token", "pool.weight", "pool.bias", "norm.weight", "norm.bias", "head.weight", "head.bias"}
    norms = {f"blocks.{n}.norm.{kind}" for n in range(2) for kind in ("weight", "bias")}
    assert set(choose_trainable(model, "probe")) == pooling
    assert set(choose_trainable(model, "pooling")) == pooling | norms
    assert {name for name, p in model.named_parameters() if p.requires_grad} == pooling | norms
    assert set(choose_trainable(model, "all")) == {name for name, _ in model.named_parameters()}


def test_the_schedule_warms_up_and_falls_to_nothing() -> None:
    model = Standin()
    optimizer = make_optimizer(model, lr=1.0, weight_decay=0.0, trunk_ratio=0.1)
    schedule = make_schedule(optimizer, lr=1.0, steps=100, warmup=0.1)
    rates = []
    for step in range(1, 101):
        schedule.step_update(step)
        rates.append([group["lr"] / group["lr_scale"] for group in optimizer.param_groups])
    assert all(max(row) == pytest.approx(min(row)) for row in rates)
    head = [row[0] for row in rates]
    assert head[:10] == pytest.approx([n / 10 for n in range(1, 11)])
    assert head[9:] == sorted(head[9:], reverse=True)
    assert 0 < head[-1] < 1e-3


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_shortest_schedules_never_rest(steps: int) -> None:
    schedule = make_schedule(
        optimizer := make_optimizer(Standin(), lr=1.0, weight_decay=0.0), lr=1.0, steps=steps, warmup=1.0
    )
    for step in range(1, steps + 1):
        schedule.step_update(step)
        assert optimizer.param_groups[0]["lr"] > 0


def test_the_average_follows_the_length_of_the_run_and_covers_buffers() -> None:
    assert average_decay(1) == 0.0
    assert average_decay(1000) == pytest.approx(0.99)
    assert average_decay(10**9) == 0.9999
    model = Standin(norm=nn.BatchNorm2d)
    average = ModelEmaV3(model, use_warmup=True)
    average.decay = average_decay(1000)
    average.update(model, step=1)
    with torch.no_grad():
        model.blocks[0].norm.running_mean.fill_(1.0)
    average.update(model, step=100)
    moved = average.module.blocks[0].norm.running_mean
    assert 0 < float(moved[0]) < 1


def test_statistics_stay_frozen_unless_they_were_never_learned() -> None:
    model = Standin(norm=nn.BatchNorm2d)
    assert fresh_norms(model) == ("blocks.0.norm", "blocks.1.norm")
    with torch.no_grad():
        model.blocks[0].norm.running_mean += 0.1
    assert fresh_norms(model) == ("blocks.1.norm",)
    set_training_mode(model, learn_statistics=("blocks.1.norm",))
    assert model.training
    assert [block.norm.training for block in model.blocks] == [False, True]
