"""Losses are timm's, and mixing leaves no photo out."""

import numpy as np
import pytest
import torch
from standin import make_config
from torch.nn import functional as F

from pcn_cli.training.objective import Objective


def make_objective(**changes: object) -> Objective:
    return Objective(make_config(**changes))


def test_smoothing_and_plain_losses_are_the_known_ones() -> None:
    logits, targets = torch.randn(5, 3), torch.tensor([0, 1, 2, 1, 0])
    for smoothing in (0.0, 0.1):
        objective = make_objective(label_smoothing=smoothing)
        same = objective.mix(torch.ones(5, 3, 4, 4), targets)[1]
        expected = F.cross_entropy(logits, targets, label_smoothing=smoothing)
        assert objective(logits.bfloat16(), same).dtype == torch.float32
        torch.testing.assert_close(objective(logits, same), expected)


@pytest.mark.parametrize("count", [1, 2, 5, 8])
@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_mixing_takes_any_number_of_photos_and_keeps_the_originals(count: int, kind: str) -> None:
    np.random.seed(0)  # noqa: NPY002 - timm's generator
    objective = make_objective(label_smoothing=0.1, **{"mixup": 0.0, "cutmix": 0.0, kind: 1.0})
    images = torch.randn(count, 3, 8, 8)
    before, targets = images.clone(), torch.arange(count) % 3
    mixed, soft = objective.mix(images, targets)
    assert torch.equal(images, before)
    assert mixed.shape == images.shape
    torch.testing.assert_close(soft.sum(dim=1), torch.ones(count))
    if count > 1:
        assert not torch.equal(mixed, images)
    if count % 2:
        assert torch.equal(mixed[-1], images[-1])
        assert int(soft[-1].argmax()) == int(targets[-1])
    assert torch.isfinite(objective(torch.randn(count, 3), soft))


def test_a_photo_loses_what_its_class_weighs() -> None:
    logits, targets, weights = torch.randn(5, 3), torch.tensor([0, 1, 0, 1, 0]), (0.5, 3.0, 0.0)
    for smoothing in (0.0, 0.1):
        objective = make_objective(label_smoothing=smoothing, class_weights=weights)
        losses = F.cross_entropy(logits, targets, label_smoothing=smoothing, reduction="none")
        expected = (torch.tensor(weights)[targets] * losses).mean()
        assert objective(logits.bfloat16(), targets).dtype == torch.float32
        torch.testing.assert_close(objective(logits, targets), expected)
    with pytest.raises(ValueError, match="not weighed"):
        make_objective(label_smoothing=0.0, multi_label=True, class_weights=weights)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_a_mixed_photo_weighs_what_its_parts_do(kind: str, smoothing: float) -> None:
    np.random.seed(0)  # noqa: NPY002 - timm's generator
    options = {"mixup": 0.0, "cutmix": 0.0, kind: 1.0}
    weights = torch.tensor([0.5, 3.0, 0.0])
    objective = make_objective(label_smoothing=smoothing, class_weights=weights.tolist(), **options)
    targets = torch.tensor([0, 1, 0, 1, 0])
    soft = objective.mix(torch.randn(5, 3, 8, 8), targets)[1]
    logits = torch.randn(5, 3)
    parts = (soft - smoothing / 3) / (1 - smoothing)
    assert (parts @ weights)[:4].unique().numel() > 1
    assert float((parts @ weights)[4]) == pytest.approx(0.5, abs=1e-6)
    losses = F.cross_entropy(logits, soft, reduction="none")
    torch.testing.assert_close(objective(logits, soft), (parts @ weights * losses).mean())


def test_equal_weights_change_nothing() -> None:
    logits, targets = torch.randn(6, 3), torch.arange(6) % 3
    options = {"label_smoothing": 0.1}
    plain, weighed = make_objective(**options), make_objective(**options, class_weights=(1.0, 1.0, 1.0))
    torch.testing.assert_close(weighed(logits, targets), plain(logits, targets))


def test_several_labels_are_decided_each_for_itself() -> None:
    logits, targets = torch.randn(5, 3), torch.tensor([[1, 0, 0], [1, 1, 1], [0, 0, 0], [0, 1, 1], [1, 0, 1]])
    plain = make_objective(label_smoothing=0.0, multi_label=True)
    expected = F.binary_cross_entropy_with_logits(logits, targets.float())
    torch.testing.assert_close(plain(logits, plain.mix(torch.ones(5, 3, 4, 4), targets)[1]), expected)
    assert plain(logits.bfloat16(), targets).dtype == torch.float32
    smooth = make_objective(label_smoothing=0.2, multi_label=True)
    expected = F.binary_cross_entropy_with_logits(logits, targets * 0.8 + 0.1)
    torch.testing.assert_close(smooth(logits, targets), expected)
    with pytest.raises(ValueError, match="not mixed"):
        make_objective(label_smoothing=0.0, mixup=0.1, cutmix=0, multi_label=True)
