"""The trunk's tokens of every photo, computed once and kept in a scratch file: what the probe learns from, as float16,
and what it is measured on, as they are.

The scratch file is deleted with the cache; it is the one thing here that is written without `files`, being worthless
after a kill. It never lies in the photos folder.
"""

import mmap
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from pcn_cli.errors import DataError
from pcn_cli.files.atomic import check_free_space, explaining_refusal
from pcn_cli.tensors.network import Batch, Batches, Network
from pcn_cli.training.balance import even_order
from pcn_cli.training.device import explain_memory
from pcn_cli.training.stop import StopRequest

_RESIDENT_BYTES = 2**27  # of tokens, which are read before their pages are let go
_AROUND_BYTES = 2**16  # which Linux brings along with each place of a file that is read
_LARGEST = float(np.finfo(np.float16).max)

OnPhotos = Callable[[int, int], None]


class TokenCache(AbstractContextManager["TokenCache"]):
    """Tokens of N photos; used as a context it removes its file in the end.

    Attributes:
        tokens: (N, views, h, w, C) float16 or float32, memory-mapped; view 0 is the photo, view 1, if any, its mirror
            image.
        targets: (N,) or (N, K) int64, in the order of the batches.
        indices: (N,) int64, the photos' places in their list.
        sizes: (N, 2) int64, width and height of the upright photos in pixels.
    """

    def __init__(
        self, *, tokens: np.ndarray, targets: np.ndarray, indices: np.ndarray, sizes: np.ndarray, scratch: Path
    ) -> None:
        self.tokens, self.targets, self.indices, self.sizes = tokens, targets, indices, sizes
        self.views, self._scratch, self._seen = tokens.shape[1], scratch, 0
        # Also when nobody ends the context, or the process ends by an error.
        self._remove = weakref.finalize(self, shutil.rmtree, scratch, ignore_errors=True)

    def __len__(self) -> int:
        return len(self.targets)

    def __exit__(self, *_: object) -> None:
        self.tokens = self.tokens[:0]
        self._remove()

    def hand_on(self) -> "TokenCache":
        """The same tokens in a cache that outlives the context of this one."""
        self._remove.detach()
        return TokenCache(
            tokens=self.tokens, targets=self.targets, indices=self.indices, sizes=self.sizes, scratch=self._scratch
        )

    def in_order(self, batch_size: int) -> Iterator[Batch]:
        """The photos in the order of the cache, with their sizes; tokens stand in the place of the images."""
        for first in range(0, len(self), batch_size):
            rows = np.arange(first, min(first + batch_size, len(self)))
            targets, indices, sizes = (
                torch.from_numpy(facts[rows]) for facts in (self.targets, self.indices, self.sizes)
            )
            yield Batch(self.read(rows), targets, indices, sizes)

    def read(self, rows: np.ndarray, views: np.ndarray | int = 0) -> Tensor:
        """Tokens (B, C, h, w) float32 of some rows, channels-last in memory."""
        taken = torch.from_numpy(np.ascontiguousarray(self.tokens[rows, views]))  # (B, h, w, C)
        self._count(len(rows), taken.nbytes)
        return taken.float().permute(0, 3, 1, 2)

    def take(self, row: int) -> np.ndarray:
        """All views of the tokens of one row as they are kept, (views, h, w, C)."""
        taken = np.array(self.tokens[row])
        self._count(1, taken.nbytes)
        return taken

    def _count(self, places: int, read: int) -> None:
        """Let go of the pages in which so many bytes lay, at so many places, once that may be much."""
        self._seen += read + places * _AROUND_BYTES
        if self._seen > _RESIDENT_BYTES:
            self._seen = 0
            _let_go(self.tokens)

    def mean_features(self) -> np.ndarray:
        """The photos' tokens averaged over the grid, (N, C) float32."""
        return self._pool(lambda tokens: tokens.mean(dim=(2, 3)))

    def cell_features(self, side: int, *, project: np.ndarray | None = None) -> np.ndarray:
        """The photos' tokens averaged over each of side × side cells of the grid, (N, side · side · C) float32.

        With `project` (side · side · C, D) what that makes of them, (N, D).
        """
        matrix = None if project is None else torch.from_numpy(project)

        def pool(tokens: Tensor) -> Tensor:
            cells = adaptive_avg_pool2d(tokens, side).flatten(1)
            return cells if matrix is None else cells @ matrix

        return self._pool(pool)

    def _pool(self, pool: Callable[[Tensor], Tensor]) -> np.ndarray:
        parts = np.array_split(np.arange(len(self)), len(self) // 256 + 1)
        return np.concatenate([pool(self.read(rows)).numpy() for rows in parts])


class TokenPiece(NamedTuple):
    """The tokens of a few photos: (B, views, h, w, C), with targets, indices and sizes as in `TokenCache`."""

    tokens: np.ndarray
    targets: np.ndarray
    indices: np.ndarray
    sizes: np.ndarray


def cache_tokens(
    model: nn.Module,
    batches: Batches,
    *,
    photos: int,
    device: torch.device,
    folder: Path,
    stop: StopRequest,
    flip: bool = False,
    exact: bool = False,
    on_photos: OnPhotos | None = None,
) -> TokenCache:
    """The tokens of all `photos`, the one epoch of `batches`, in a folder of their own below `folder`.

    `flip` and `exact` are as `compute_tokens` takes them; errors as of that and of `keep_tokens`.
    """
    pieces = compute_tokens(model, batches, device=device, stop=stop, flip=flip, exact=exact)
    return keep_tokens(pieces, photos=photos, folder=folder, on_photos=on_photos)


def compute_tokens(
    model: nn.Module,
    batches: Batches,
    *,
    device: torch.device,
    stop: StopRequest,
    flip: bool = False,
    exact: bool = False,
    start: int = 0,
) -> Iterator[TokenPiece]:
    """The tokens of the photos of one epoch of `batches`, with `flip` those of the mirrored photos as well.

    They are float16, which halves the disk they take; `exact` ones float32, so that what is scored from them is what
    the network says of the photo, to the last bit. `start` is the place of the first photo among all.

    Raises:
        ResourceError: a batch does not fit into memory.
        StoppedError: `stop` asked for it.
    """
    dtype = torch.float32 if exact else torch.float16
    with explain_memory("the tokens were computed"):
        model = model.to(device=device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        for batch in batches.batches():
            stop.check("stopped while the tokens were computed")
            tokens = _compute(model, batch.inputs(device), flip=flip, dtype=dtype)
            indices = batch.indices.numpy() + start
            yield TokenPiece(tokens, batch.targets.numpy(), indices, batch.sizes.numpy())


def keep_tokens(
    pieces: Iterable[TokenPiece], *, photos: int, folder: Path, on_photos: OnPhotos | None = None
) -> TokenCache:
    """The tokens of so many photos, which come in `pieces` in any order; `on_photos` is told (done, all).

    Raises:
        DataError: there is no photo.
        ResourceError: the scratch file does not fit on the disk.
        StoppedError, and what else `pieces` raise: nothing stays on the disk.
    """
    if photos == 0:
        raise DataError("there is no photo to compute tokens of")
    scratch = Path(tempfile.mkdtemp(prefix="pcn-tokens-", dir=folder))
    # Made once, to be filled: small arrays of each piece, kept between large ones that go, would hold all their memory.
    store, targets, sizes = np.empty(0), np.empty(0, np.int64), np.zeros((photos, 2), np.int64)
    written, done = 0, 0
    try:
        for piece in pieces:
            if not done:
                store = _allocate(scratch / "tokens", (photos, *piece.tokens.shape[1:]), piece.tokens.dtype)
                targets = np.empty((photos, *piece.targets.shape[1:]), np.int64)
            store[piece.indices], targets[piece.indices] = piece.tokens, piece.targets
            if len(piece.sizes):  # not every source of batches knows them
                sizes[piece.indices] = piece.sizes
            done += len(piece.indices)
            written += piece.tokens.nbytes
            if written > _RESIDENT_BYTES:
                written = 0
                _let_go(store)
            if on_photos is not None:
                on_photos(done, photos)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    return TokenCache(tokens=store, targets=targets, indices=np.arange(photos), sizes=sizes, scratch=scratch)


class TokenPick:
    """The photos at `places` of several caches that lie one after another; nothing is copied."""

    def __init__(self, caches: Sequence[TokenCache], places: np.ndarray) -> None:
        self._caches = caches
        starts = np.cumsum([0, *(len(cache) for cache in caches)])
        self._owners = np.searchsorted(starts, places, side="right") - 1  # (N,) which cache holds the photo
        self._rows = places - starts[self._owners]
        self.indices = places
        self.targets = np.concatenate([cache.targets for cache in caches])[places]
        self.views = min(cache.views for cache in caches)

    def __len__(self) -> int:
        return len(self.indices)

    def read(self, rows: np.ndarray, views: np.ndarray | int = 0) -> Tensor:
        """Tokens (B, C, h, w) float32 of some rows, channels-last in memory."""
        owners, inside, shown = self._owners[rows], self._rows[rows], np.broadcast_to(views, len(rows))
        order, pieces = [], []
        for owner in np.unique(owners):
            chosen = np.flatnonzero(owners == owner)
            order.append(chosen)
            pieces.append(self._caches[owner].read(inside[chosen], shown[chosen]))
        back = torch.from_numpy(np.argsort(np.concatenate(order)))
        return torch.cat(pieces)[back].contiguous(memory_format=torch.channels_last)


Tokens = TokenCache | TokenPick


class TokenBatches:
    """Batches of cached tokens; their order and mirroring are a function of (seed, epoch).

    With `even_classes` photos are drawn so that classes come equally often, otherwise each comes once.
    """

    def __init__(self, cache: Tokens, *, batch_size: int, seed: int, even_classes: bool = False) -> None:
        self._cache, self._batch_size, self._seed, self._even_classes = cache, batch_size, seed, even_classes

    def __len__(self) -> int:
        return -(-len(self._cache) // self._batch_size)

    def batches(self, epoch: int = 0, *, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from number `start` on."""
        rng = np.random.default_rng((self._seed, epoch))
        order = rng.permutation(len(self._cache))
        if self._even_classes:
            order = even_order(self._cache.targets, self._seed, epoch)
        views = rng.integers(0, self._cache.views, len(order))
        for first in range(start * self._batch_size, len(order), self._batch_size):
            part = slice(first, first + self._batch_size)
            rows = order[part]
            yield Batch(
                self._cache.read(rows, views[part]),
                torch.from_numpy(self._cache.targets[rows]),
                torch.from_numpy(self._cache.indices[rows]),
            )


@torch.inference_mode()
def _compute(model: nn.Module, images: Tensor, *, flip: bool, dtype: torch.dtype) -> np.ndarray:
    """Tokens (B, views, h, w, C) of images (B, 3, H, W); values beyond float16 are clamped to its largest."""
    network = cast("Network", model)
    views = []
    for view in (images, images.flip(3)) if flip else (images,):
        tokens = network.forward_features(view.contiguous(memory_format=torch.channels_last))
        if dtype == torch.float16:
            tokens = tokens.clamp(-_LARGEST, _LARGEST)
        views.append(tokens.to(dtype).permute(0, 2, 3, 1).cpu())
    return torch.stack(views, dim=1).numpy()


def _let_go(store: np.ndarray) -> None:
    """Take the pages of a memory-mapped array out of this process; the system keeps those that it has room for.

    Without it, all tokens that were ever touched would count as this process's memory.
    """
    base: Any = store
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)


def _allocate(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    """A memory-mapped array with its disk space reserved: a disk that is full later would kill the process."""
    size = int(np.prod(shape)) * dtype.itemsize
    hint = "free some space, or set TMPDIR to another disk"
    check_free_space(path.parent, size, what="the tokens need", hint=hint)
    with explaining_refusal(path):
        with path.open("wb") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
        return np.memmap(path, dtype=dtype, mode="r+", shape=shape)
