"""What this machine lends to the process."""

import os
import sys

_MB = 2**20
# Blocks up to 32 MB come from the heap, which keeps up to 2 GB when they are free and grows by 64 MB at once.
_SETTINGS = ((-3, 32 * _MB), (-1, 2048 * _MB - 1), (-2, 64 * _MB))  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_TOP_PAD


def available_cores() -> int:
    """The processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def keep_freed_memory() -> bool:
    """Let the process keep the memory that it frees, and say whether it does; for processes that are our own alone.

    A network's layers ask for tens of megabytes and free them at once. By default glibc returns each of these blocks to
    the system and gets it back page by page: a third of the time of a whole run. Nothing happens where the environment
    has settings of its own, or where another library gives memory out.
    """
    settled = any(name.startswith("MALLOC_") for name in os.environ) or "malloc" in os.environ.get("GLIBC_TUNABLES", "")
    if settled or not sys.platform.startswith("linux"):
        return False
    import ctypes  # takes longer to load than the rest of this file

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(mallopt(name, value) for name, value in _SETTINGS)
