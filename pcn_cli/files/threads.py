"""Work on many items in several threads."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from pcn_cli.files.machine import available_cores

Item = TypeVar("Item")
Result = TypeVar("Result")
_MOST = 8  # a large photo takes a third of a gigabyte while it is open


def in_threads(
    work: Callable[[Item], Result], items: Iterable[Item], *, workers: int | None = None
) -> Iterator[Result]:
    """What `work` gives of each item, in their order; as many at once as there are cores, or `workers`.

    It gains where the work waits for the disk, or is done by a library that lets other threads run meanwhile, as
    Pillow's decoders and encoders do. Some items at a time: neither they nor their results gather in memory.
    """
    workers, items = workers or min(available_cores(), _MOST), iter(items)
    with ThreadPoolExecutor(max_workers=workers) as pool:
        while batch := list(islice(items, 16 * workers)):
            yield from pool.map(work, batch)
