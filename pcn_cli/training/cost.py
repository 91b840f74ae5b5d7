"""What a network costs here: measured on a few made-up pictures, before anything is trained."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from pcn_cli.tensors.network import Network
from pcn_cli.training.device import explain_memory

_PICTURES, _TOKENS = 4, 32


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Per photo: seconds of a forward pass, of what stands behind the tokens; MB kept for the way back in float32."""

    forward_seconds: float
    head_seconds: float
    activation_mb: float


def measure_cost(model: nn.Module, *, size: int, device: torch.device) -> Cost:
    """The cost of photos of `size` × `size` pixels on `device`; `model` is moved there.

    Raises:
        ResourceError: not even a few of them fit into memory.
    """
    with explain_memory("the cost of the network was measured", "free some memory, or choose a smaller --size"):
        model = model.to(device).eval()
        network = cast("Network", model)
        pictures = torch.rand(_PICTURES, 3, size, size, device=device)
        with torch.inference_mode():
            tokens = network.forward_features(pictures).repeat(_TOKENS // _PICTURES, 1, 1, 1)
            works = {"forward": lambda: model(pictures), "head": lambda: network.forward_head(tokens)}
            taken = time_in_turns(works, rounds=1, device=device)
        return Cost(
            forward_seconds=taken["forward"][0] / _PICTURES,
            head_seconds=taken["head"][0] / _TOKENS,
            activation_mb=_kept_bytes(model, pictures[:1].clone()) / 1e6,
        )


def time_in_turns(
    works: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    device: torch.device,
    clock: Callable[[], float] = time.perf_counter,
    on_round: Callable[[int], None] | None = None,
) -> dict[str, list[float]]:
    """The seconds of each work in each round, once all were done once without being timed.

    The works take turns, so that what else the machine does slows all of them alike: compare them within a round.
    `device` is waited for, `clock` gives seconds from any origin, `on_round` is called with the rounds done.
    """
    taken: dict[str, list[float]] = {name: [] for name in works}
    for done in range(rounds + 1):
        for name, work in works.items():
            started = clock()
            work()
            if device.type != "cpu":
                torch.accelerator.synchronize(device)
            if done:
                taken[name].append(clock() - started)
        if on_round is not None:
            on_round(done)
    return taken


def _kept_bytes(model: nn.Module, pictures: Tensor) -> int:
    """The bytes that autograd keeps of one forward pass, the parameters not counted."""
    own = {parameter.data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = model(pictures)  # is held, so that no storage is freed and its address given to another
    del result
    return sum(kept.values())
