"""What this machine lends to the process."""

import gc
import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from pcn_cli.errors import ResourceError

_MB = 2**20
# Blocks up to 32 MB come from the heap, which keeps up to 2 GB when they are free and grows by 64 MB at once.
_SETTINGS = ((-3, 32 * _MB), (-1, 2048 * _MB - 1), (-2, 64 * _MB))  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_TOP_PAD


def available_cores() -> int:
    """The processor cores that this process may use: its share where others work with it on this machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // read_place().local_world)


class Place(NamedTuple):
    """Which of `world` processes that work together this one is, and which of those on this machine."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    local_world: int = 1


def read_place() -> Place:
    """This process's place, as torchrun and its like write it into the environment; the only one without that.

    Raises:
        ResourceError: what stands there does not fit together.
    """
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    texts = [os.environ.get(name, "") for name in names]
    if texts[1] in ("", "0", "1"):
        return Place()
    texts[3] = texts[3] or "1"
    told = ", ".join(f"{name}={text}" for name, text in zip(names, texts, strict=True))
    hint = "start the processes with torchrun, or with pcn finetune PHOTOS --devices N"
    if not all(text.isdecimal() for text in texts):
        raise ResourceError(f"WORLD_SIZE asks for several processes, and the others do not fit to it: {told}", hint)
    place = Place(*map(int, texts))
    if place.rank >= place.world or place.local_world > place.world or place.local_world < 1:
        raise ResourceError(f"the environment does not fit together: {told}", hint)
    if absent := [name for name in ("MASTER_ADDR", "MASTER_PORT") if not os.environ.get(name)]:
        raise ResourceError(f"WORLD_SIZE is {place.world}, and {' and '.join(absent)} is not set", hint)
    return place


def is_led() -> bool:
    """Whether another of several processes speaks for this one."""
    try:
        return read_place().rank > 0
    except ResourceError:
        return False


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


def calm_numpy() -> None:
    """Let NumPy's products take one thread each, unless the environment says otherwise; before NumPy is imported.

    Its threads go on asking for work when they have none, and torch's wait for them: with two of them, to find what is
    alike among photos took four times as much of the processors, and three times as long (busy, RESULTS.md).
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


@contextmanager
def unsearched() -> Iterator[None]:
    """A context in which Python does not search for cycles, again and again, what becomes a million things."""
    searched = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if searched:
            gc.enable()


@contextmanager
def importing() -> Iterator[None]:
    """A context for imports of large libraries, an eighth of whose time Python would search them for cycles.

    Nor are they searched later: what there is when it ends is taken to stay.
    """
    with unsearched():
        try:
            yield
        finally:
            gc.freeze()


def limit_process(*, memory: int, seconds: int) -> None:
    """Let this process take `memory` bytes and `seconds` of computing more than now, where the system can limit that.

    Windows cannot, macOS limits the computing alone.
    """
    try:
        import resource
    except ImportError:
        return
    import psutil  # which few commands need

    used = resource.getrusage(resource.RUSAGE_SELF)
    limits = {resource.RLIMIT_CORE: 0, resource.RLIMIT_CPU: math.ceil(used.ru_utime + used.ru_stime) + seconds}
    if sys.platform.startswith("linux"):
        limits[resource.RLIMIT_DATA] = psutil.Process().memory_info().data + memory
    for kind, wanted in limits.items():
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
