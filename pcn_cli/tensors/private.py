"""The one place that uses what torch and timm keep to themselves; tried with torch 2.14.1 and timm 1.0.31.

When a new version breaks something here, this file is what has to change.
"""

from typing import Any

import torch
from timm.models._efficientnet_blocks import SqueezeExcite as SqueezeExcite
from timm.models._features import feature_take_indices as feature_take_indices
from timm.models._manipulate import group_with_matcher as group_with_matcher
from torch._C import _remove_worker_pids


def allow_compiled_variants(count: int) -> None:
    """Let torch.compile keep at least `count` variants of one function before it gives up compiling it."""
    torch._dynamo.config.cache_size_limit = max(torch._dynamo.config.cache_size_limit, count)  # noqa: SLF001


def running_iterator(loader: Any) -> Any:  # noqa: ANN401 - a private class of torch
    """The iterator whose workers a DataLoader keeps between epochs, or None."""
    return getattr(loader, "_iterator", None)


def end_workers(iterator: Any) -> None:  # noqa: ANN401 - a private class of torch
    """Kill the workers of a DataLoader's iterator where one of them is dead already; otherwise torch ends them well.

    A killed worker may have died holding a lock that torch's own shutdown then waits for without a limit.
    """
    if any(not worker.is_alive() for worker in iterator._workers):  # noqa: SLF001
        iterator._shutdown = True  # noqa: SLF001
        _remove_worker_pids(id(iterator))
        if iterator._pin_memory:  # noqa: SLF001 - the thread that pins would wait for batches for ever
            iterator._pin_memory_thread_done_event.set()  # noqa: SLF001
        for worker in iterator._workers:  # noqa: SLF001
            worker.kill()
