"""Where the numbers are computed, and what that place can do."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import torch

from pcn_cli.errors import ResourceError


def choose_device(name: str | None = None) -> torch.device:
    """The named device, or the best one here: cuda, then mps, then cpu.

    Raises:
        ResourceError: the named device is unknown or not here.
    """
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    here = [kind for kind, found in (("cuda", cuda), ("mps", mps), ("cpu", True)) if found]
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
    return device


def has_native_bf16(device: torch.device) -> bool:
    """Whether the device computes in bfloat16 rather than imitating it."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        # Older versions of torch cannot tell; float32 is the safe answer.
        capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
        return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return False


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
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            raise ResourceError(f"the memory ran out while {doing}", hint) from error
        raise


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that memory ran out."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    words = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)
