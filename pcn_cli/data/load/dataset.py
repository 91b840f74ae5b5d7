"""What a loader's workers do: which photos make up a batch, and how one is opened and prepared."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import Dataset, Sampler, default_collate

from pcn_cli.data.load.open_image import UnreadablePhotoError, open_photo
from pcn_cli.data.load.preprocessing import preprocess
from pcn_cli.records.model import Preprocessing
from pcn_cli.tensors.batch import Batch

_DOMAIN = 0  # tells the order's stream from the augmentation's, which is drawn from the same seed


class Varied(Protocol):
    """What training needs of an augmentation."""

    def __call__(self, image: Image.Image, *, epoch: int, sample: int) -> NDArray[np.float32]:
        """The input (3, H, W) of an upright RGB photo."""
        ...


class LoadedPhoto(NamedTuple):
    """One prepared photo, (3, H, W) float32; `pixels` is None where it could not be opened, for `reason`.

    `target` is a class index, or a row of 0 and 1 for all classes.

    `size` is the width and height of the upright picture in pixels.
    """

    position: int
    target: Any
    pixels: NDArray[np.float32] | None
    size: tuple[int, int] = (0, 0)
    reason: str = ""


class BatchOrder(Sampler[list[tuple[int, int]]]):
    """The (epoch, sample) pairs of each batch; `epoch` and `start` are set before each iteration.

    A sample is a photo's position. Of N photos, one that `draw` gives again is sample position + N, then position + 2 N
    and so on, so that each of its variations is another.
    """

    def __init__(
        self,
        photos: int,
        batch_size: int,
        *,
        seed: int,
        shuffle: bool,
        drop_last: bool,
        draw: Callable[[int], NDArray[np.int64]] | None = None,
    ) -> None:
        self._photos, self._batch_size, self._draw = photos, batch_size, draw
        self._seed, self._shuffle, self._drop_last = seed, shuffle, drop_last
        self.epoch, self.start = 0, 0

    def count_batches(self) -> int:
        """Batches in a whole epoch."""
        return self._photos // self._batch_size if self._drop_last else -(-self._photos // self._batch_size)

    def __len__(self) -> int:
        return max(self.count_batches() - self.start, 0)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch = self.epoch
        samples = self._order(epoch)
        for number in range(self.start, self.count_batches()):
            chosen = samples[number * self._batch_size : (number + 1) * self._batch_size]
            yield [(epoch, int(sample)) for sample in chosen]

    def _order(self, epoch: int) -> NDArray[np.int64]:
        if self._draw is not None:
            return _number_again(self._draw(epoch), self._photos)
        if self._shuffle:
            return np.random.default_rng((_DOMAIN, self._seed, epoch)).permutation(self._photos)
        return np.arange(self._photos)


def _number_again(positions: NDArray[np.int64], photos: int) -> NDArray[np.int64]:
    """The positions, raised by `photos` for each time that the same one came before."""
    seen = np.zeros(photos, dtype=np.int64)
    samples = positions.copy()
    for place, position in enumerate(positions):
        samples[place] += photos * seen[position]
        seen[position] += 1
    return samples


class PhotoDataset(Dataset[LoadedPhoto]):
    """Opens and prepares one photo; errors travel as values, since exceptions lose their facts between processes."""

    def __init__(
        self,
        root: Path,
        files: list[str],
        targets: list[Any],
        preprocessing: Preprocessing,
        augmentation: Varied | None,
    ) -> None:
        self._root, self._files, self._targets = root, files, targets
        self._preprocessing, self._augmentation = preprocessing, augmentation

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, key: tuple[int, int]) -> LoadedPhoto:
        epoch, sample = key
        position = sample % len(self._files)
        try:
            image = open_photo(self._root / self._files[position])
        except UnreadablePhotoError as error:
            return LoadedPhoto(position, self._targets[position], None, reason=error.reason)
        if self._augmentation is None:
            pixels = preprocess(image, self._preprocessing)
        else:
            pixels = self._augmentation(image, epoch=epoch, sample=sample)
        return LoadedPhoto(position, self._targets[position], pixels, image.size)


def stack_photos(photos: list[LoadedPhoto]) -> Batch:
    """The readable photos as one batch, in their order, and the others apart."""
    readable = [(photo, photo.pixels) for photo in photos if photo.pixels is not None]
    images = torch.empty(0)
    if readable:
        # torch's own way puts a worker's batch straight into shared memory; on its heap it would leave ever more holes.
        images = default_collate([torch.from_numpy(pixels.transpose(1, 2, 0)) for _, pixels in readable])
        images = images.permute(0, 3, 1, 2)
    return Batch(
        images,
        torch.from_numpy(np.array([photo.target for photo, _ in readable], dtype=np.int64)),
        torch.tensor([photo.position for photo, _ in readable], dtype=torch.int64),
        torch.tensor([photo.size for photo, _ in readable], dtype=torch.int64),
        [(photo.position, photo.reason) for photo in photos if photo.pixels is None],
    )
