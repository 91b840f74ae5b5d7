import numpy as np
import pytest
import torch

from pcn_cli.tensors.network import Batch
from pcn_cli.tensors.pixels import Norm, normalise

NORM = Norm((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CPU = torch.device("cpu")


def every_value():
    """Each of the 256 values in each channel, (1, 3, 16, 16), channels-last."""
    values = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    return values.expand(1, 3, 16, 16).contiguous(memory_format=torch.channels_last)


def expect(pixels, norm=NORM):
    """As torchvision does it: three operations in float32."""
    mean, std = (np.array(one, np.float32)[:, None, None] for one in norm)
    return (pixels.numpy().astype(np.float32) / np.float32(255) - mean) / std


@pytest.mark.parametrize("norm", [NORM, Norm((0.5,) * 3, (0.5,) * 3), Norm((0.0,) * 3, (1.0,) * 3)])
def test_every_value_becomes_what_torchvision_makes_of_it_to_the_last_bit(norm):
    found = normalise(every_value(), norm)
    assert found.dtype == torch.float32
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert np.array_equal(found.numpy(), expect(every_value(), norm))


def test_pixels_that_are_not_channels_last_become_the_same_and_stay_as_they_are():
    pixels = every_value().contiguous()
    assert torch.equal(normalise(pixels, NORM), normalise(every_value(), NORM))
    assert torch.equal(pixels, every_value())


def test_a_norm_that_came_through_a_pinning_thread_is_the_same():
    lists = Norm(*map(list, NORM))  # as torch's did until its tuples stayed tuples
    assert torch.equal(normalise(every_value(), lists), normalise(every_value(), NORM))


def test_around_a_window_stands_the_mean_colour():
    pixels = torch.full((2, 3, 4, 6), 255, dtype=torch.uint8)
    found = normalise(pixels, NORM, torch.tensor([[0, 0, 6, 4], [1, 2, 5, 3]]))
    assert torch.equal(found[0], normalise(pixels, NORM)[0])
    assert (found[1] != 0).nonzero().tolist() == [[channel, 2, x] for channel in range(3) for x in range(1, 5)]
    assert torch.equal(found[1, :, 2, 1:5], found[0, :, 2, 1:5])


def test_inputs_are_normalised_pixels_or_what_there_is():
    numbers = torch.zeros(1, dtype=torch.int64)
    assert torch.equal(Batch(every_value(), numbers, numbers, norm=NORM).inputs(CPU), normalise(every_value(), NORM))
    tokens = torch.randn(1, 4, 2, 2)
    found = Batch(tokens, numbers, numbers).inputs(CPU)
    assert torch.equal(found, tokens)
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_inputs_made_while_inferring_do_not_stand_in_the_way_of_training():
    with torch.inference_mode():
        normalise(every_value(), Norm((0.1,) * 3, (0.7,) * 3))
    weight = torch.ones(1, requires_grad=True)
    (normalise(every_value(), Norm((0.1,) * 3, (0.7,) * 3)) * weight).sum().backward()
    assert weight.grad is not None


@pytest.mark.gpu
def test_a_card_gives_the_same_bits_from_pinned_memory():
    batch = Batch(every_value().pin_memory(), torch.zeros(1), torch.zeros(1), norm=NORM)
    assert np.array_equal(batch.inputs(torch.device("cuda")).cpu().numpy(), expect(every_value()))
