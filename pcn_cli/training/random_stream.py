"""The randomness of training (drop-path, dropout, mixup) as a stream of its own.

Loaders and validation draw from the process's generators too, and how often they do depends on workers and on where a
run was resumed. Training therefore swaps its own states in for each step and out again, and a checkpoint holds
exactly those.
"""

import base64
import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class RandomState:
    """The states of all generators as text: base64 of bytes, and JSON. `device` is empty on a CPU."""

    torch: str
    device: str
    numpy: str
    python: str


class RandomStream:
    """Random states that advance only inside `running`.

    Of several processes that train together, those other than rank 0 draw what a photo alone is given (drop-path,
    dropout) from a stream for their `rank` and the step; what all must draw alike (mixup) they draw from the same.
    """

    def __init__(self, seed: int, device: torch.device, *, rank: int = 0) -> None:
        self._device, self._seed, self._rank = device, seed, rank
        # Of several devices each has a generator of its own; mps is always one.
        self._which = () if device.type == "mps" else (device,)
        outside = self._read()
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 - timm's Mixup draws from numpy's global generator
        random.seed(seed)
        self.states = self._read()
        self._write(outside)

    @contextmanager
    def running(self, *, step: int = 0) -> Iterator[None]:
        """The process's generators continue this stream until the block ends, then are as they were."""
        outside = self._read()
        self._write(self.states)
        if self._rank:
            own = np.random.SeedSequence((self._seed, self._rank, step)).generate_state(1, np.uint64)
            torch.manual_seed(int(own[0]))
        try:
            yield
        finally:
            self.states = self._read()
            self._write(outside)

    def to_text(self) -> RandomState:
        """The stream's place, for a checkpoint."""
        torch_state, device_state, numpy_state, python_state = self.states
        _, key, place, *gauss = numpy_state
        return RandomState(
            torch=_encode(torch_state.numpy()),
            device="" if device_state is None else _encode(device_state.numpy()),
            numpy=json.dumps({"key": _encode(key.astype("<u4")), "pos": place, "gauss": gauss}),
            python=json.dumps(python_state),
        )

    def from_text(self, text: RandomState) -> None:
        """Go on where a stream stood when `to_text` was called."""
        numpy_state, (version, numbers, gauss) = json.loads(text.numpy), json.loads(text.python)
        key = np.frombuffer(base64.b64decode(numpy_state["key"]), dtype="<u4").astype(np.uint32)
        self.states = (
            _tensor(text.torch),
            _tensor(text.device) if text.device and self._device.type != "cpu" else self.states[1],
            ("MT19937", key, numpy_state["pos"], *numpy_state["gauss"]),
            (version, tuple(numbers), gauss),
        )

    def _read(self) -> tuple[torch.Tensor, torch.Tensor | None, Any, Any]:
        on_device = None
        if self._device.type != "cpu":
            on_device = torch.get_device_module(self._device).get_rng_state(*self._which)
        return torch.get_rng_state(), on_device, np.random.get_state(), random.getstate()  # noqa: NPY002

    def _write(self, states: tuple[torch.Tensor, torch.Tensor | None, Any, Any]) -> None:
        torch.set_rng_state(states[0])
        if states[1] is not None:
            torch.get_device_module(self._device).set_rng_state(states[1], *self._which)
        np.random.set_state(states[2])  # noqa: NPY002 - as above
        random.setstate(states[3])


def _encode(numbers: NDArray[Any]) -> str:
    return base64.b64encode(numbers.tobytes()).decode("ascii")


def _tensor(text: str) -> torch.Tensor:
    return torch.frombuffer(bytearray(base64.b64decode(text)), dtype=torch.uint8)
