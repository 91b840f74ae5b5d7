"""Photos in batches for training and evaluation: the same batches for any number of worker processes.

The order is a function of the epoch, a photo's variation of (seed, epoch, sample); no global random state is used.
"""

import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch.utils.data import DataLoader

from pcn_cli.data.load.dataset import BatchSampler, LoadedPhoto, Order, PhotoDataset, stack_photos
from pcn_cli.errors import DataError, ResourceError
from pcn_cli.tensors.batch import Batch
from pcn_cli.tensors.private import end_workers, running_iterator


class PhotoBatches:
    """Batches of photos, epoch after epoch; worker processes stay between epochs.

    One iterator at a time: asking for a new one ends the one before.

    Args:
        dataset: the photos.
        batch_size: photos per batch; the last one may hold fewer.
        workers: processes that decode; 0 decodes in this one.
        order: the positions of an epoch, as many as there are photos; None takes them as they come.
        on_unreadable: called with (position, reason) for a photo that cannot be opened, which is then left out of its
            batch; without it such a photo is a DataError.
    """

    def __init__(
        self,
        dataset: PhotoDataset,
        *,
        batch_size: int,
        workers: int = 0,
        order: Order | None = None,
        on_unreadable: Callable[[int, str], None] | None = None,
    ) -> None:
        self._dataset, self._workers, self._on_unreadable = dataset, workers, on_unreadable
        self._sampler = BatchSampler(len(dataset), batch_size, order)
        self._loader: DataLoader[LoadedPhoto] | None = None

    def __len__(self) -> int:
        """Batches in a whole epoch."""
        return self._sampler.count_batches()

    def batches(self, epoch: int = 0, *, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from number `start` on; those before are skipped without being decoded.

        A batch in which no photo could be opened is left out.

        Raises:
            DataError: a photo cannot be opened and `on_unreadable` is None.
            ResourceError: a worker process died; calling again with `start` goes on at any batch.
        """
        self._sampler.epoch, self._sampler.start = epoch, start
        if start >= len(self):
            return
        try:
            with _quiet_about_workers():
                loaded = iter(self._open_loader())
            for batch in loaded:
                for position, reason in batch.unreadable:
                    if self._on_unreadable is None:
                        hint = "pcn inspect finds such files; the photos must not change while they are used"
                        raise DataError(f"cannot read {self._dataset.files[position]}: {reason}", hint)
                    self._on_unreadable(position, reason)
                if len(batch.indices):
                    yield batch
        # What a dead worker looks like depends on what it held: a message of torch, or a connection that ends.
        except (RuntimeError, EOFError, ConnectionError) as error:
            self.close()
            if isinstance(error, RuntimeError) and not str(error).startswith("DataLoader worker"):
                raise
            hint = "close other programs, or try fewer --workers"
            raise ResourceError("a process that loads photos died (out of memory?)", hint) from error

    def close(self) -> None:
        """End the worker processes; the next iteration starts new ones."""
        iterator = running_iterator(self._loader)
        self._loader = None
        if iterator is not None:
            end_workers(iterator)

    def __del__(self) -> None:
        """Never leave the end of killed workers to torch, which may wait for them for ever."""
        if hasattr(self, "_loader"):
            self.close()

    def _open_loader(self) -> "DataLoader[LoadedPhoto]":
        if self._loader is None:
            self._loader = DataLoader(
                self._dataset,
                batch_sampler=self._sampler,
                num_workers=self._workers,
                collate_fn=stack_photos,
                persistent_workers=self._workers > 0,
                worker_init_fn=_prepare_worker,
                # Without one of its own it would draw from the trainer's global generator.
                generator=torch.Generator().manual_seed(0),
            )
        return self._loader


@contextmanager
def _quiet_about_workers() -> Iterator[None]:
    """Let torch start workers without its advice on their number, and without its handler for dead ones.

    That handler raises wherever the main thread happens to be, such as in the middle of an optimizer step; without it
    the loader itself finds the dead worker when the next batch is due.
    """
    in_main_thread = hasattr(signal, "SIGCHLD") and threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGCHLD) if in_main_thread else None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="This DataLoader will create")
        try:
            yield
        finally:
            if in_main_thread:
                signal.signal(signal.SIGCHLD, before)


def _prepare_worker(_: int) -> None:
    """One thread each, and deaf to Ctrl-C: the process that trains finishes its step and ends us."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if hasattr(signal, "SIGUSR1"):
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
