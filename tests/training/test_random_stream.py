"""A stream goes on where it stood, whatever happens outside it."""

import json
import random
from dataclasses import asdict

import numpy as np
import torch

from pcn_cli.training.random_stream import RandomState, RandomStream

CPU = torch.device("cpu")


def draw() -> list[float]:
    return [float(torch.rand(1)), float(torch.randn(1)), np.random.rand(), np.random.normal(), random.gauss(0, 1)]  # noqa: NPY002


def test_a_stream_is_a_function_of_its_seed_and_goes_on_from_text() -> None:
    one, other = RandomStream(7, CPU), RandomStream(7, CPU)
    draw()
    with one.running():
        first = draw()
    draw()
    text = json.loads(json.dumps(asdict(one.to_text())))
    with one.running():
        second = draw()
    with other.running():
        assert draw() == first
    later = RandomStream(0, CPU)
    later.from_text(RandomState(**text))
    with later.running():
        assert draw() == second
    assert first != second


def test_the_outside_does_not_notice() -> None:
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    expected = draw() + draw()
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    seen = draw()
    with RandomStream(3, CPU).running():
        draw()
    assert seen + draw() == expected
