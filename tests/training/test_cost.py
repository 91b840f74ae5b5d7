"""What a network costs is measured, not guessed."""

import pytest
import torch
from torch import Tensor, nn

from pcn_cli.errors import ResourceError
from pcn_cli.training.cost import measure_cost


class Small(nn.Module):
    """Three layers as a trunk, an average and a linear layer behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 8, 1))
        self.head = nn.Linear(8, 2)

    def forward_features(self, images: Tensor) -> Tensor:
        return self.trunk(images)

    def forward_head(self, tokens: Tensor) -> Tensor:
        return self.head(tokens.mean((2, 3)))

    def forward(self, images: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(images))


def test_activations_are_counted_once_and_parameters_not():
    cost = measure_cost(Small(), size=32, device=torch.device("cpu"))
    picture, feature, pooled = 3 * 32 * 32 * 4, 8 * 32 * 32 * 4, 8 * 4
    assert cost.activation_mb * 1e6 == picture + feature + pooled
    assert cost.forward_seconds > 0
    assert cost.head_seconds > 0


def test_a_network_too_large_to_measure_is_a_matter_of_memory():
    class Large(Small):
        def forward_features(self, images: Tensor) -> Tensor:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(ResourceError, match="while the cost of the network was measured"):
        measure_cost(Large(), size=32, device=torch.device("cpu"))
