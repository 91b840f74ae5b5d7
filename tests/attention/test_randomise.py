import pytest
import torch

from pcn_cli.attention.randomise import randomised
from pcn_cli.models.patchconvnet import PatchConvNet


def make() -> PatchConvNet:
    torch.manual_seed(0)
    return PatchConvNet(embed_dim=16, depth=1, num_classes=3)


def test_every_tensor_keeps_its_numbers_and_loses_their_places() -> None:
    network = make()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    forgetful = randomised(network, seed=1).state_dict()
    for name, tensor in before.items():
        assert torch.equal(network.state_dict()[name], tensor), name
        assert torch.equal(forgetful[name].flatten().sort().values, tensor.flatten().sort().values), name
    assert not torch.equal(forgetful["head.weight"], before["head.weight"])
    assert not torch.equal(forgetful["stem.0.weight"], before["stem.0.weight"])


def test_only_the_part_that_was_named_forgets() -> None:
    network = make()
    forgetful = randomised(network, prefix="pooling.", seed=1).state_dict()
    changed = {name for name, tensor in network.state_dict().items() if not torch.equal(forgetful[name], tensor)}
    assert changed
    assert all(name.startswith("pooling.") for name in changed)
    with pytest.raises(ValueError, match="no parameter starts with 'pool'"):
        randomised(torch.nn.Linear(2, 2), prefix="pool", seed=1)


def test_the_same_seed_forgets_in_the_same_way() -> None:
    one, same, other = (randomised(make(), seed=seed).head.weight for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
