"""Photos in batches for training and evaluation: the same batches for any number of worker processes.

The order is a function of (seed, epoch), a photo's variation of (seed, epoch, position); no global random state is
used.
"""

import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from pcn_cli.data.load.dataset import BatchOrder, LoadedPhoto, PhotoDataset, Varied, stack_photos
from pcn_cli.errors import DataError, ResourceError
from pcn_cli.records.model import Preprocessing
from pcn_cli.tensors.batch import Batch
from pcn_cli.tensors.private import end_workers, running_iterator


class PhotoBatches:
    """Batches of photos, epoch after epoch; worker processes stay between epochs.

    One iterator at a time: asking for a new one ends the one before.

    Args:
        root: the photos folder.
        files: paths below `root`; absolute ones are taken as they are.
        targets: class index of each file, or (N, K) of 0 and 1 where a file may have several classes; all 0 where
            nobody will ask.
        batch_size: photos per batch; the last one may hold fewer unless `drop_last`.
        preprocessing: evaluation preprocessing, used where `augmentation` is None.
        augmentation: training variation, called with (image, epoch, sample): the position in `files`, and another
            number each time that `draw` gives the photo again.
        seed: of the order.
        workers: processes that decode; 0 decodes in this one.
        shuffle: whether the order is drawn anew in every epoch; otherwise it is that of `files`.
        draw: the positions of the photos of an epoch, by its number, as many as there are files; instead of `shuffle`.
        drop_last: whether a smaller last batch is left out.
        on_unreadable: called with (position, reason) for a photo that cannot be opened, which is then left out of its
            batch; without it such a photo is a DataError.
        start_method: how workers are started ("fork", "spawn", "forkserver"); None takes the system's way.
    """

    def __init__(
        self,
        root: Path,
        files: Sequence[str],
        targets: Sequence[int] | NDArray[np.int64] | None = None,
        *,
        batch_size: int,
        preprocessing: Preprocessing,
        augmentation: Varied | None = None,
        seed: int = 0,
        workers: int = 0,
        shuffle: bool = False,
        draw: Callable[[int], NDArray[np.int64]] | None = None,
        drop_last: bool = False,
        on_unreadable: Callable[[int, str], None] | None = None,
        start_method: str | None = None,
    ) -> None:
        targets = np.zeros(len(files), dtype=np.int64) if targets is None else targets
        if len(files) != len(targets):
            raise ValueError(f"{len(files)} files and {len(targets)} targets")
        self._files = list(files)
        self._photos = PhotoDataset(root, self._files, list(targets), preprocessing, augmentation)
        self._order = BatchOrder(
            len(self._files), batch_size, seed=seed, shuffle=shuffle, drop_last=drop_last, draw=draw
        )
        self._workers, self._start_method = workers, start_method
        self._on_unreadable = on_unreadable
        self._loader: DataLoader[LoadedPhoto] | None = None

    def __len__(self) -> int:
        """Batches in a whole epoch."""
        return self._order.count_batches()

    def batches(self, epoch: int = 0, *, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from number `start` on; those before are skipped without being decoded.

        A batch in which no photo could be opened is left out.

        Raises:
            DataError: a photo cannot be opened and `on_unreadable` is None.
            ResourceError: a worker process died; calling again with `start` goes on at any batch.
        """
        self._order.epoch, self._order.start = epoch, start
        if self._order.start >= len(self):
            return
        try:
            with _quiet_about_workers():
                loaded = iter(self._open_loader())
            for batch in loaded:
                for position, reason in batch.unreadable:
                    self._report(position, reason)
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

    def _report(self, position: int, reason: str) -> None:
        if self._on_unreadable is None:
            hint = "pcn inspect finds such files; the photos must not change while they are used"
            raise DataError(f"cannot read {self._files[position]}: {reason}", hint)
        self._on_unreadable(position, reason)

    def _open_loader(self) -> "DataLoader[LoadedPhoto]":
        if self._loader is None:
            self._loader = DataLoader(
                self._photos,
                batch_sampler=self._order,
                num_workers=self._workers,
                collate_fn=stack_photos,
                persistent_workers=self._workers > 0,
                worker_init_fn=_prepare_worker,
                multiprocessing_context=self._start_method if self._workers else None,
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
