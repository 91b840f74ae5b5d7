import torch

from pcn_cli.attention.protocol import Attended
from pcn_cli.models import pooling


def test_what_the_pooling_gives_is_what_the_maps_need() -> None:
    attended = pooling.Attended(torch.ones(1, 2), torch.ones(1, 1, 5), torch.ones(1, 5, 8), (2, 2))

    assert isinstance(attended, Attended)
