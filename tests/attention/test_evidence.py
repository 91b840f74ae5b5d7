"""The closed form against the thing itself: the same pooling on a grid from which the patches were taken away."""

from collections.abc import Iterator

import pytest
import timm
import torch
from torch import Tensor, nn

import pcn_cli.models.entrypoints  # noqa: F401 - importing is registering
from pcn_cli.attention.evidence import class_logits_without, evidence_maps, logits_without, rank_classes, with_labels
from pcn_cli.models.patchconvnet import PatchConvNet

BY_CLASS = ("a token per class", "timm backbone, a token per class", "timm backbone, channels last, a token per class")
KINDS = ("one token", "timm backbone", "timm backbone, channels last", *BY_CLASS)


def make(kind: str) -> nn.Module:
    """A network whose pooling looks at different patches differently."""
    torch.manual_seed(0)
    options = {"num_classes": 4, "class_tokens": kind in BY_CLASS}
    if kind.startswith("timm"):
        backbone = "convnext_atto" if "channels last" in kind else "mobilenetv3_small_100"
        network = timm.create_model("attention_pooled", backbone=backbone, **options)
    else:
        network = PatchConvNet(embed_dim=32, depth=1, layer_scale=1.0, **options)
    with torch.no_grad():
        for parameter in network.pooling.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
        network.pooling.q.bias.normal_().div_(network.pooling.q.scale)  # scores spread by about 1
    return network.eval()


def tokens_of(network: nn.Module) -> Tensor:
    """Tokens that differ, as those of a trained trunk do: (2, C, 6, 8)."""
    return torch.randn(2, network.num_features, 6, 8, generator=torch.Generator().manual_seed(1))


def remaining(network: nn.Module, tokens: Tensor, hidden: Tensor) -> Tensor:
    """What the network says of the patches that are left, as a grid of one row."""
    return network.forward_head(tokens.flatten(2)[:, :, ~hidden][:, :, None])


def some_sets(patches: int) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(2)
    yield torch.zeros(patches, dtype=torch.bool)
    for share in (0.1, 0.5, 0.9):
        for _ in range(4):
            yield torch.rand(patches, generator=generator) < share
    yield torch.arange(patches) > 0  # all but one


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_hiding_any_set_is_what_the_pooling_says_without_it(kind: str) -> None:
    network = make(kind)
    tokens = tokens_of(network)
    attended = network.attend_tokens(tokens)
    patches = attended.grid[0] * attended.grid[1]
    sets = torch.stack(list(some_sets(patches)))
    found = logits_without(network, attended.weights, attended.values, hidden=sets.expand(2, -1, -1))
    assert found.shape == (2, len(sets), 4)
    assert attended.weights.std() > 0.01
    for number, hidden in enumerate(sets):
        torch.testing.assert_close(found[:, number], remaining(network, tokens, hidden), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found[:, 0], attended.logits, atol=1e-5, rtol=1e-5)
    assert (found[:, 1:] - attended.logits[:, None]).abs().max() > 0.01


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_evidence_is_what_each_patch_alone_brings(kind: str) -> None:
    network = make(kind)
    tokens = tokens_of(network)
    attended = network.attend_tokens(tokens)
    ranked = rank_classes(attended.logits)
    maps = evidence_maps(network, attended, ranked)
    assert maps.shape == (2, 3, *attended.grid)
    assert ranked[:, 0].tolist() == attended.logits.argmax(dim=1).tolist()
    patches = attended.grid[0] * attended.grid[1]
    for patch in range(patches):
        lowered = attended.logits - remaining(network, tokens, torch.arange(patches) == patch)
        torch.testing.assert_close(maps.flatten(2)[:, :, patch], lowered.gather(1, ranked), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", BY_CLASS)
@torch.no_grad()
def test_one_class_alone_is_that_class_among_all(kind: str) -> None:
    network = make(kind)
    attended = network.attend_tokens(tokens_of(network))
    hidden = torch.rand(2, 5, attended.weights.shape[2]) < 0.5
    classes = torch.tensor([[2, 0], [1, 3]])
    arguments = (network, attended.weights, attended.values)
    everything = logits_without(*arguments, hidden=hidden)
    alone = class_logits_without(*arguments, hidden=hidden, classes=classes)
    for row, (one, other) in enumerate(classes.tolist()):
        torch.testing.assert_close(alone[row], everything[row][:, [one, other]], atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_with_everything_hidden_the_class_token_is_left_alone() -> None:
    network = make("one token")
    attended = network.attend_tokens(tokens_of(network))
    everything = torch.ones(2, 1, attended.weights.shape[2] - 1, dtype=torch.bool)
    found = logits_without(network, attended.weights, attended.values, hidden=everything)
    torch.testing.assert_close(found[:, 0], network.tail(attended.values[:, :1]), atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_class_tokens_with_nothing_left_stay_as_they_were() -> None:
    network = make("a token per class")
    attended = network.attend_tokens(tokens_of(network))
    everything = torch.ones(2, 1, attended.weights.shape[2], dtype=torch.bool)
    found = logits_without(network, attended.weights, attended.values, hidden=everything)
    assert found.isfinite().all()
    torch.testing.assert_close(found[0, 0], network.tail(torch.zeros(1, 4, 32))[0])


@torch.no_grad()
def test_nothing_cancels_where_one_patch_held_nearly_everything() -> None:
    network = make("one token")
    values = torch.randn(1, 5, 32)
    weights = torch.tensor([[[1e-9, 1.0, 2e-9, 3e-9, 4e-9]]])
    hidden = torch.tensor([[[True, False, False, False]]])
    found = logits_without(network, weights, values, hidden=hidden)
    rest = (torch.tensor([1.0, 2, 3, 4]) / 10) @ values[0, [0, 2, 3, 4]]
    torch.testing.assert_close(found[0], network.tail(rest[None, None])[0][None], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_many_sets_are_taken_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    network = make("one token")
    attended = network.attend_tokens(tokens_of(network))
    hidden = torch.rand(2, 7, attended.weights.shape[2] - 1) < 0.5
    arguments = (network, attended.weights, attended.values)
    at_once = logits_without(*arguments, hidden=hidden)
    monkeypatch.setattr("pcn_cli.attention.evidence._NUMBERS_AT_ONCE", 2 * 32 * 2)
    torch.testing.assert_close(logits_without(*arguments, hidden=hidden), at_once, atol=1e-6, rtol=1e-6)


def test_a_label_that_is_not_among_the_most_probable_takes_the_last_place():
    ranked = torch.tensor([[3, 1, 0], [3, 1, 0], [3, 1, 0]])
    named = with_labels(ranked, torch.tensor([2, 1, -1]))
    assert named.tolist() == [[3, 1, 2], [3, 1, 0], [3, 1, 0]]
    assert ranked[0].tolist() == [3, 1, 0]
