import torch

from pcn_cli.attention.reweighing import even_weights, logits_reweighed, permuted_weights
from pcn_cli.models.patchconvnet import PatchConvNet

WEIGHTS = torch.rand(2, 1, 7, generator=torch.Generator().manual_seed(0)).softmax(-1)
SEEDS = [(0, 3), (0, 8)]


@torch.no_grad()
def test_the_networks_own_weights_give_its_own_answer() -> None:
    torch.manual_seed(0)
    for class_tokens in (False, True):
        network = PatchConvNet(embed_dim=16, depth=1, num_classes=3, class_tokens=class_tokens, layer_scale=1.0).eval()
        attended = network.attend(torch.randn(2, 3, 64, 64))
        again = logits_reweighed(network, attended.weights, attended.values)
        torch.testing.assert_close(again, attended.logits, atol=1e-5, rtol=1e-5)


def test_even_weights_leave_the_class_token_its_share() -> None:
    even = even_weights(WEIGHTS, 6)
    assert torch.equal(even[..., 0], WEIGHTS[..., 0])
    assert (even[..., 1:] == even[..., 1:2]).all()
    torch.testing.assert_close(even.sum(-1), WEIGHTS.sum(-1))


def test_permuted_weights_are_the_same_at_other_places() -> None:
    permuted = permuted_weights(WEIGHTS, 6, seeds=SEEDS)
    assert torch.equal(permuted[..., 0], WEIGHTS[..., 0])
    assert torch.equal(permuted.sort(-1).values, WEIGHTS.sort(-1).values)
    assert not torch.equal(permuted, WEIGHTS)
    assert torch.equal(permuted[1:], permuted_weights(WEIGHTS[1:], 6, seeds=SEEDS[1:]))


def test_the_tokens_of_one_picture_are_permuted_alike() -> None:
    places = torch.arange(6.0).expand(1, 3, 6)
    permuted = permuted_weights(places, 6, seeds=SEEDS[:1])
    assert torch.equal(permuted[0, 0], permuted[0, 1])
    assert torch.equal(permuted[0, 0], permuted[0, 2])
