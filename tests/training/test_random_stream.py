"""A stream goes on where it stood, whatever happens outside it."""

import json
import random
from dataclasses import asdict

import numpy as np
import pytest
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


class Generators:
    """What torch offers of a kind of device: a state for each of several."""

    def __init__(self) -> None:
        self.states = {name: torch.tensor([number]) for number, name in enumerate(("cuda:0", "cuda:1"))}

    def get_rng_state(self, device="cuda:0"):
        return self.states[str(device)]

    def set_rng_state(self, state, device="cuda:0"):
        self.states[str(device)] = state


@pytest.mark.parametrize("used", ["cuda:0", "cuda:1"])
def test_the_generator_is_that_of_the_device_in_use(used: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On cuda:1 the states of cuda:0 were kept, so a resumed run drew other numbers."""
    device, there = torch.device(used), Generators()
    monkeypatch.setattr(torch, "get_device_module", lambda _: there)
    before = dict(there.states)
    stream = RandomStream(3, device)
    with stream.running():
        there.states[used] = torch.tensor([99])
    assert there.states == before
    with stream.running():
        assert int(there.states[used]) == 99
        assert all(there.states[name] is state for name, state in before.items() if name != used)


def test_a_kind_of_device_without_numbers_has_one_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    there = Generators()
    monkeypatch.setattr(there, "get_rng_state", lambda: there.states["cuda:0"])
    monkeypatch.setattr(there, "set_rng_state", lambda state: there.states.update({"cuda:0": state}))
    monkeypatch.setattr(torch, "get_device_module", lambda _: there)
    with RandomStream(3, torch.device("mps")).running():
        there.states["cuda:0"] = torch.tensor([5])
    assert int(there.states["cuda:0"]) == 0
