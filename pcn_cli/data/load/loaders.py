"""Photos in batches for training and evaluation: the same batches for any number of worker processes.

The order is a function of the epoch, a photo's variation of (seed, epoch, sample); no global random state is used.
"""

import hashlib
import logging
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from multiprocessing.util import get_temp_dir
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from pcn_cli.data.load.open_image import (
    OpenedPhoto,
    UnreadablePhotoError,
    decode_photo,
    open_reduced,
    read_bytes,
)
from pcn_cli.data.load.photo_cache import KeptPhoto, PhotoCache
from pcn_cli.data.load.preprocessing import Evaluation, Prepared
from pcn_cli.errors import DataError, ResourceError
from pcn_cli.records.model import Preprocessing
from pcn_cli.tensors.network import Batch
from pcn_cli.tensors.pixels import Norm
from pcn_cli.tensors.private import end_workers, running_iterator

logger = logging.getLogger(__name__)

Order = Callable[[int], NDArray[np.int64]]
"""The positions (N,) of the photos of an epoch, by its number; a photo may come several times."""

Share = Callable[[int], NDArray[np.int64]]
"""The places that are loaded here, of a batch with so many photos; several processes load different ones."""


class Preparation(Protocol):
    """How a photo becomes an input: `Evaluation`, or `data.load.augment.Augmentation`."""

    def least(self, width: int, height: int, *, epoch: int, sample: int) -> tuple[float, float]:
        """The least width and height at which a photo of a width and height is wanted."""
        ...

    @property
    def form(self) -> str:
        """What `keep` depends on beside the photo."""
        ...

    def least_kept(self, width: int, height: int) -> tuple[float, float]:
        """The least width and height at which a photo is wanted from which `keep` is made."""
        ...

    def keep(self, photo: OpenedPhoto) -> KeptPhoto:
        """What of a photo is enough for every epoch."""
        ...

    def restore(self, kept: KeptPhoto, *, epoch: int, sample: int) -> Prepared:
        """The input of a photo that was kept."""
        ...

    def __call__(self, photo: OpenedPhoto, *, epoch: int, sample: int) -> Prepared:
        """The input of a photo."""
        ...


# What torch says where a worker has died, or the thread that pins its batches choked on what was left of one.
_DEAD = ("DataLoader worker", "Pin memory thread exited")
_LONGEST_SOCKET = 103  # characters of a path, on macOS; 107 on Linux
_DEATHS = 3  # of workers at one batch, after which it is given up
_NONE = torch.empty(0, dtype=torch.int64)
_DOMAIN = 0  # tells the order's stream from the augmentation's, which is drawn from the same seed


def shuffled(photos: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """The positions of all photos in an order of their own for each seed and epoch."""
    return np.random.default_rng((_DOMAIN, seed, epoch)).permutation(photos)


class LoadedPhoto(NamedTuple):
    """One prepared photo, (H, W, 3) uint8; `pixels` is None where it could not be opened, for `reason`.

    `target` is a class index, or a row of 0 and 1 for all classes; `size` is the width and height of the upright
    picture in pixels, `window` what it fills of the pixels: left, top, right, bottom; `missing` is as in OpenedPhoto.
    `picture` (H, W, 3) is a vast photo, to be shown.
    """

    position: int
    target: Any
    pixels: NDArray[np.uint8] | None
    size: tuple[int, int] = (0, 0)
    window: tuple[int, int, int, int] = (0, 0, 0, 0)
    reason: str = ""
    missing: float | None = None
    picture: NDArray[np.uint8] | None = None


class PhotoDataset(Dataset[LoadedPhoto]):
    """Opens and prepares one photo; errors travel as values, since exceptions lose their facts between processes.

    `files` are paths below `root`, or absolute; `targets` are class numbers, or (N, K) of 0 and 1 where a file may have
    several classes, or None where nobody will ask. With an `augmentation` photos are varied for training, otherwise
    they are prepared as in evaluation. With a `cache` they are decoded once for all epochs, where there is room:
    that takes their SHA-256, `hashes`; a photo that has another by now is decoded as it is. Truncated photos are opened
    as far as they go with `load_truncated`. With `keep_vast` the pictures of vast ones come along.
    """

    def __init__(
        self,
        root: Path,
        files: Sequence[str],
        targets: Sequence[int] | NDArray[np.int64] | None = None,
        *,
        preprocessing: Preprocessing,
        augmentation: Preparation | None = None,
        cache: PhotoCache | None = None,
        hashes: Sequence[str] = (),
        load_truncated: bool = False,
        keep_vast: bool = False,
    ) -> None:
        targets = np.zeros(len(files), dtype=np.int64) if targets is None else targets
        if len(files) != len(targets):
            raise ValueError(f"{len(files)} files and {len(targets)} targets")
        self.files = list(files)
        self._root, self._targets = root, list(targets)
        self._prepare: Preparation = augmentation or Evaluation(preprocessing=preprocessing)
        self.norm = Norm(preprocessing.mean, preprocessing.std)
        self._cache, self._hashes = cache, list(hashes)
        self._form = self._prepare.form
        self._load_truncated, self._keep_vast = load_truncated, keep_vast

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, key: tuple[int, int]) -> LoadedPhoto:
        epoch, sample = key
        position = sample % len(self)
        target = self._targets[position]
        try:
            if self._cache is not None:
                kept = self._find_kept(self._cache, position)
                pixels, window = self._prepare.restore(kept, epoch=epoch, sample=sample)
                return LoadedPhoto(position, target, pixels, kept.size, window)
            least = partial(self._prepare.least, epoch=epoch, sample=sample)
            photo = open_reduced(self._root / self.files[position], least, load_truncated=self._load_truncated)
        except UnreadablePhotoError as error:
            return LoadedPhoto(position, target, None, reason=error.reason)
        pixels, window = self._prepare(photo, epoch=epoch, sample=sample)
        picture = np.asarray(photo.show()) if self._keep_vast and photo.is_vast else None
        return LoadedPhoto(position, target, pixels, photo.size, window, missing=photo.missing, picture=picture)

    def _find_kept(self, cache: PhotoCache, position: int) -> KeptPhoto:
        """The photo as it is kept, or would be: what comes of it does not depend on what the cache holds."""
        known = self._hashes[position]
        # A table of hashes may come from anywhere, and must not name a path.
        key = hashlib.sha256(f"{known} {self._form}".encode()).hexdigest()
        kept = cache.read(key)
        if kept is None:
            content = read_bytes(self._root / self.files[position])
            least = self._prepare.least_kept
            kept = self._prepare.keep(decode_photo(BytesIO(content), least, load_truncated=self._load_truncated))
            if hashlib.sha256(content).hexdigest() == known:
                cache.write(key, kept)
        return kept


def preprocess(image: Image.Image, preprocessing: Preprocessing) -> NDArray[np.float32]:
    """The network's input of an upright picture: (3, height, width), normalised; padding is 0, the mean colour."""
    prepared = Evaluation(preprocessing=preprocessing)(OpenedPhoto.whole(image))
    batch = batch_of_one(prepared, norm=Norm(preprocessing.mean, preprocessing.std))
    return np.ascontiguousarray(batch.inputs(torch.device("cpu"))[0].numpy())


class BatchSampler(Sampler[list[tuple[int, int]]]):
    """The (epoch, sample) pairs of each batch; `epoch` and `start` are set before each iteration.

    A sample is a photo's position. Of N photos, one that `order` gives again is sample position + N, then + 2 N, …,
    so that each of its variations is another. Of each batch only the `share` is given.
    """

    def __init__(self, photos: int, batch_size: int, order: Order | None, share: Share = np.arange) -> None:
        self._photos, self._batch_size, self._order, self._share = photos, batch_size, order, share
        self.epoch, self.start = 0, 0

    def count_batches(self) -> int:
        """Batches in a whole epoch."""
        return -(-self._photos // self._batch_size)

    def __len__(self) -> int:
        return max(self.count_batches() - self.start, 0)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch = self.epoch
        samples = np.arange(self._photos) if self._order is None else self._order(epoch).copy()
        seen = np.zeros(self._photos, dtype=np.int64)
        for place, position in enumerate(samples):
            samples[place] += self._photos * seen[position]
            seen[position] += 1
        for number in range(self.start, self.count_batches()):
            chosen = samples[number * self._batch_size : (number + 1) * self._batch_size]
            yield [(epoch, int(sample)) for sample in chosen[self._share(len(chosen))]]


def stack_photos(photos: list[LoadedPhoto], *, norm: Norm) -> Batch:
    """The readable photos as one batch, in their order, and the others apart."""
    readable = [(photo, photo.pixels) for photo in photos if photo.pixels is not None]
    images, padded = torch.empty(0), False
    if readable:
        # torch's own way puts a worker's batch straight into shared memory; on its heap it would leave ever more holes.
        tensors = [torch.from_numpy(pixels) for _, pixels in readable]
        images = default_collate(tensors) if len(tensors) > 1 else tensors[0][None]  # (B, H, W, 3)
        padded = any(_is_padded(pixels, photo.window) for photo, pixels in readable)
        images = images.permute(0, 3, 1, 2)
    return Batch(
        images,
        torch.from_numpy(np.array([photo.target for photo, _ in readable], dtype=np.int64)),
        torch.tensor([photo.position for photo, _ in readable], dtype=torch.int64),
        torch.tensor([photo.size for photo, _ in readable], dtype=torch.int64),
        [(photo.position, photo.reason) for photo in photos if photo.pixels is None],
        [(photo.position, photo.missing) for photo, _ in readable if photo.missing is not None],
        [(photo.position, photo.picture) for photo, _ in readable if photo.picture is not None],
        norm,
        torch.tensor([photo.window for photo, _ in readable], dtype=torch.int64) if padded else None,
    )


def batch_of_one(prepared: Prepared, *, norm: Norm) -> Batch:
    """A prepared photo as a batch with nothing beside it, in few steps: who waits for one answer feels each of them."""
    pixels, window = prepared
    images = torch.from_numpy(pixels)[None].permute(0, 3, 1, 2)
    windows = torch.tensor([window]) if _is_padded(pixels, window) else None
    return Batch(images, _NONE, _NONE, norm=norm, windows=windows)


def _is_padded(pixels: NDArray[np.uint8], window: tuple[int, int, int, int]) -> bool:
    return window != (0, 0, pixels.shape[1], pixels.shape[0])


class _DeadWorkerError(Exception):
    """A worker process died."""


class PhotoBatches:
    """Batches of photos, epoch after epoch; worker processes stay between epochs.

    One iterator at a time: asking for a new one ends the one before. The last batch may hold fewer photos; 0 `workers`
    decode in this process; without an `order` photos come as they stand. `on_unreadable` is called with (position,
    reason) for a photo that cannot be opened, which is then left out of its batch; without it that is a DataError.
    Batches for a `device` that is a CUDA card lie in pinned memory, from which copies need not be waited for.
    With a `share` only that of each batch is loaded, which may be none of a small one.
    """

    def __init__(
        self,
        dataset: PhotoDataset,
        *,
        batch_size: int,
        workers: int = 0,
        device: torch.device | None = None,
        order: Order | None = None,
        share: Share | None = None,
        on_unreadable: Callable[[int, str], None] | None = None,
    ) -> None:
        self._dataset, self._workers, self._on_unreadable = dataset, workers, on_unreadable
        self._pinned = device is not None and device.type == "cuda"
        self._sampler = BatchSampler(len(dataset), batch_size, order, share or np.arange)
        self._shared = share is not None
        self._loader: DataLoader[LoadedPhoto] | None = None

    def __len__(self) -> int:
        """Batches in a whole epoch."""
        return self._sampler.count_batches()

    def batches(self, epoch: int = 0, *, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from number `start` on; those before are skipped without being decoded.

        A batch in which no photo could be opened is left out; one of which nothing is this process's share is not.

        Raises:
            DataError: a photo cannot be opened and `on_unreadable` is None.
            ResourceError: worker processes died at one batch again and again; one that dies once is replaced there.
        """
        deaths = 0
        while start < len(self):
            try:
                for batch in self._load(epoch, start):
                    start, deaths = start + 1, 0
                    if len(batch.indices) or self._shared:
                        yield batch
            except _DeadWorkerError as error:
                self.close()
                deaths += 1
                if deaths == _DEATHS:
                    hint = "close other programs, or try fewer --workers"
                    raise ResourceError("a process that loads photos died (out of memory?)", hint) from error
                logger.info("a process that loads photos died; another one goes on at batch %d", start)
            else:
                return

    def _load(self, epoch: int, start: int) -> Iterator[Batch]:
        """All batches from number `start` on, also empty ones; a DataError for a photo that may not be left out."""
        self._sampler.epoch, self._sampler.start = epoch, start
        if self._loader is None:
            workers = self._workers if self._workers and _has_room_for_sockets() else 0
            if workers < self._workers:
                logger.info("TMPDIR has too long a name for sockets: photos are read without processes for it")
            self._loader = DataLoader(
                self._dataset,
                batch_sampler=self._sampler,
                num_workers=workers,
                collate_fn=partial(stack_photos, norm=self._dataset.norm),
                pin_memory=self._pinned,
                persistent_workers=workers > 0,
                worker_init_fn=_prepare_worker,
                # Without one of its own it would draw from the trainer's global generator.
                generator=torch.Generator().manual_seed(0),
            )
        try:
            with _quiet_about_workers():
                loaded = iter(self._loader)
            for batch in loaded:
                for position, reason in batch.unreadable:
                    if self._on_unreadable is None:
                        hint = "pcn inspect finds such files; the photos must not change while they are used"
                        raise DataError(f"cannot read {self._dataset.files[position]}: {reason}", hint)
                    self._on_unreadable(position, reason)
                yield batch
        # What a dead worker looks like depends on what it held: a message of torch, or a connection that ends.
        except (RuntimeError, EOFError, ConnectionError) as error:
            if isinstance(error, RuntimeError) and not str(error).startswith(_DEAD):
                self.close()
                raise
            raise _DeadWorkerError from error

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


def _has_room_for_sockets() -> bool:
    """Whether workers can hand over their batches; where TMPDIR is too long for a socket's name they would be lost.

    The folder is that of this process, which workers use as well: their own would stay when they are killed.
    """
    return len(str(Path(get_temp_dir(), "listener-12345678"))) <= _LONGEST_SOCKET


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
