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
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from pcn_cli.data.open_image import UnreadablePhotoError, open_photo
from pcn_cli.data.preprocessing import preprocess
from pcn_cli.errors import DataError, ResourceError
from pcn_cli.records.preprocessing import Preprocessing

_DOMAIN = 0  # tells the order's stream from the augmentation's, which is drawn from the same seed


class Batch(NamedTuple):
    """Photos that go through the network together.

    images (B, 3, H, W) float32 in channels-last memory, targets (B,) int64, indices (B,) int64: positions in `files`.
    """

    images: Tensor
    targets: Tensor
    indices: Tensor


class Varied(Protocol):
    """What training needs of an augmentation."""

    def __call__(self, image: Image.Image, *, epoch: int, sample: int) -> NDArray[np.float32]:
        """The input (3, H, W) of an upright RGB photo."""
        ...


class PhotoBatches:
    """Batches of photos, epoch after epoch; worker processes stay between epochs.

    One iterator at a time: asking for a new one ends the one before.

    Args:
        root: the photos folder.
        files: paths below `root`; absolute ones are taken as they are.
        targets: class index of each file.
        batch_size: photos per batch; the last one may hold fewer unless `drop_last`.
        preprocessing: evaluation preprocessing, used where `augmentation` is None.
        augmentation: training variation, called with (image, epoch, position in `files`).
        seed: of the order.
        workers: processes that decode; 0 decodes in this one.
        shuffle: whether the order is drawn anew in every epoch; otherwise it is that of `files`.
        drop_last: whether a smaller last batch is left out.
        on_unreadable: called with (position, reason) for a photo that cannot be opened, which is then left out of its
            batch; without it such a photo is a DataError.
        start_method: how workers are started ("fork", "spawn", "forkserver"); None takes the system's way.
    """

    def __init__(
        self,
        root: Path,
        files: Sequence[str],
        targets: Sequence[int],
        *,
        batch_size: int,
        preprocessing: Preprocessing,
        augmentation: Varied | None,
        seed: int,
        workers: int,
        shuffle: bool,
        drop_last: bool = False,
        on_unreadable: Callable[[int, str], None] | None = None,
        start_method: str | None = None,
    ) -> None:
        if len(files) != len(targets):
            raise ValueError(f"{len(files)} files and {len(targets)} targets")
        self._files = list(files)
        self._photos = _Photos(root, self._files, list(targets), preprocessing, augmentation)
        self._order = _Order(len(self._files), batch_size, seed=seed, shuffle=shuffle, drop_last=drop_last)
        self._workers, self._start_method = workers, start_method
        self._on_unreadable = on_unreadable
        self._loader: DataLoader[_Photo] | None = None

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
            for images, targets, indices, unreadable in loaded:
                for position, reason in unreadable:
                    self._report(position, reason)
                if len(indices):
                    yield Batch(images, targets, indices)
        # What a dead worker looks like depends on what it held: a message of torch, or a connection that ends.
        except (RuntimeError, EOFError, ConnectionError) as error:
            self.close()
            if isinstance(error, RuntimeError) and not str(error).startswith("DataLoader worker"):
                raise
            hint = "close other programs, or try fewer --workers"
            raise ResourceError("a process that loads photos died (out of memory?)", hint) from error

    def close(self) -> None:
        """End the worker processes; the next iteration starts new ones."""
        self._loader = None

    def _report(self, position: int, reason: str) -> None:
        if self._on_unreadable is None:
            hint = "pcn inspect finds such files; the photos must not change while they are used"
            raise DataError(f"cannot read {self._files[position]}: {reason}", hint)
        self._on_unreadable(position, reason)

    def _open_loader(self) -> "DataLoader[_Photo]":
        if self._loader is None:
            self._loader = DataLoader(
                self._photos,
                batch_sampler=self._order,
                num_workers=self._workers,
                collate_fn=_stack,
                persistent_workers=self._workers > 0,
                worker_init_fn=_prepare_worker,
                multiprocessing_context=self._start_method if self._workers else None,
                # Without one of its own it would draw from the trainer's global generator.
                generator=torch.Generator().manual_seed(0),
            )
        return self._loader


class _Loaded(NamedTuple):
    """A batch as a worker sends it: what could be opened, and (position, reason) of what could not."""

    images: Tensor
    targets: Tensor
    indices: Tensor
    unreadable: list[tuple[int, str]]


class _Photo(NamedTuple):
    position: int
    target: int
    pixels: NDArray[np.float32] | None
    reason: str


class _Order(Sampler[list[tuple[int, int]]]):
    """The (epoch, position) pairs of each batch; `epoch` and `start` are set before each iteration."""

    def __init__(self, photos: int, batch_size: int, *, seed: int, shuffle: bool, drop_last: bool) -> None:
        self._photos, self._batch_size = photos, batch_size
        self._seed, self._shuffle, self._drop_last = seed, shuffle, drop_last
        self.epoch, self.start = 0, 0

    def count_batches(self) -> int:
        """Batches in a whole epoch."""
        return self._photos // self._batch_size if self._drop_last else -(-self._photos // self._batch_size)

    def __len__(self) -> int:
        return max(self.count_batches() - self.start, 0)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch = self.epoch
        positions = np.arange(self._photos)
        if self._shuffle:
            positions = np.random.default_rng((_DOMAIN, self._seed, epoch)).permutation(self._photos)
        for number in range(self.start, self.count_batches()):
            chosen = positions[number * self._batch_size : (number + 1) * self._batch_size]
            yield [(epoch, int(position)) for position in chosen]


class _Photos(Dataset[_Photo]):
    """Opens and prepares one photo; errors travel as values, since exceptions lose their facts between processes."""

    def __init__(
        self,
        root: Path,
        files: list[str],
        targets: list[int],
        preprocessing: Preprocessing,
        augmentation: Varied | None,
    ) -> None:
        self._root, self._files, self._targets = root, files, targets
        self._preprocessing, self._augmentation = preprocessing, augmentation

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, key: tuple[int, int]) -> _Photo:
        epoch, position = key
        try:
            image = open_photo(self._root / self._files[position])
        except UnreadablePhotoError as error:
            return _Photo(position, self._targets[position], None, error.reason)
        if self._augmentation is None:
            pixels = preprocess(image, self._preprocessing)
        else:
            pixels = self._augmentation(image, epoch=epoch, sample=position)
        return _Photo(position, self._targets[position], pixels, "")


def _stack(photos: list[_Photo]) -> _Loaded:
    readable = [(photo, photo.pixels) for photo in photos if photo.pixels is not None]
    images = torch.empty(0)
    if readable:
        _, height, width = readable[0][1].shape
        images = torch.empty(len(readable), 3, height, width, memory_format=torch.channels_last)
        for image, (_, pixels) in zip(images, readable, strict=True):
            image.copy_(torch.from_numpy(pixels))
    return _Loaded(
        images,
        torch.tensor([photo.target for photo, _ in readable], dtype=torch.int64),
        torch.tensor([photo.position for photo, _ in readable], dtype=torch.int64),
        [(photo.position, photo.reason) for photo in photos if photo.pixels is None],
    )


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
