"""Where the numbers are computed: what that device can do, and what a network costs on it."""

import errno
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import cast

import psutil
import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor, nn

from pcn_cli.errors import ResourceError
from pcn_cli.files.machine import read_place
from pcn_cli.tensors.network import Network

# What torch, its kernels (oneDNN, cuBLAS, cuDNN, MPS), C++ and Python say, in small letters.
_OUT_OF_MEMORY = (
    *("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory", "unable to allocate"),
    *("failed to allocate", "alloc_failed", "bad_alloc", "unable to mmap", "could not create a primitive"),
    *("could not create a memory object", "can't start new thread", "resource temporarily unavailable"),
)
_PICTURES, _TOKENS = 4, 32  # made up, for the cost of a network


def choose_device(name: str | None = None) -> torch.device:
    """The named device, or the best one here: cuda, then mps, then cpu.

    Raises:
        ResourceError: the named device is unknown or not here, or has no room for another process of this run.
    """
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    here = [kind for kind, found in (("cuda", cuda), ("mps", mps), ("cpu", True)) if found]
    _, world, rank, _ = read_place()
    if cuda and (name or "cuda").startswith("cuda") and rank >= (cards := torch.cuda.device_count()):
        raise ResourceError(f"process {rank} of this machine has no card of its own: found {cards}", "start fewer")
    if name is None:
        return torch.device(here[0])
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ResourceError(f"there is no kind of device called {name!r}", "use cuda, cuda:1, mps or cpu") from error
    if device.type not in here or (device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()):
        raise ResourceError(
            f"the device {name} is not here; found: {', '.join(here)}", "leave --device out to use what is here"
        )
    if world > 1 and device.type == "cuda" and device.index is not None:
        raise ResourceError(
            f"the device {name} is one card, and {world} processes work together", "with --device cuda each has its own"
        )
    return device


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch and NumPy compute on one thread: many small products lose more by waiting than another brings.

    Where both have threads of their own, these wait for each other: a regression on two cores takes up to 15 times as
    long as on one.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with _find_pools().limit(limits=1, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(threads)


@cache
def _find_pools() -> ThreadpoolController:
    """The libraries' pools of threads; looked for once, which takes some milliseconds."""
    return ThreadpoolController()


def has_native_bf16(device: torch.device) -> bool:
    """Whether the device computes in bfloat16 rather than imitating it."""
    if device.type == "cuda":
        with torch.cuda.device(device):  # it asks of the current card
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        # Older versions of torch cannot tell; float32 is the safe answer.
        capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
        return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return False


def is_asynchronous(device: torch.device) -> bool:
    """Whether the device works on while the program goes on, so that looking at its numbers means to wait for it."""
    return device.type == "cuda"


def has_native_fp16(device: torch.device) -> bool:
    """Whether the device is a card whose tensor cores compute in float16, as those before Ampere do."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (7, 0)


def memory_mb(device: torch.device) -> float:
    """The largest memory used so far, in MB: of the accelerator, or of this process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    if device.type == "mps":
        return torch.mps.driver_allocated_memory() / 1e6
    if sys.platform == "win32":
        return float(psutil.Process().memory_info().peak_wset) / 1e6
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux kibibytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


@contextmanager
def explain_memory(doing: str, hint: str = "--set evaluate.batch_size=8") -> Iterator[None]:
    """A context in which running out of memory while `doing` something is a ResourceError with `hint`."""
    try:
        yield
    except (RuntimeError, MemoryError, OSError) as error:
        if is_out_of_memory(error):
            raise ResourceError(f"the memory ran out while {doing}", hint) from error
        raise


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that memory ran out, or threads, which need some."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in _OUT_OF_MEMORY)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Per photo: seconds of a forward pass, of what stands behind the tokens; MB kept for the way back in float32.

    `token_numbers` are those of a photo's tokens; `regression_seconds`, where they were measured, are of a photo's
    features in a regression with one strength of the penalty.
    """

    forward_seconds: float
    head_seconds: float
    activation_mb: float
    token_numbers: int = 0
    regression_seconds: float = 0.0


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
            token_numbers=tokens[0].numel(),
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
