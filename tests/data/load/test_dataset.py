from functools import partial

import numpy as np
import torch

from pcn_cli.data.load.dataset import BatchSampler, LoadedPhoto, PhotoDataset, shuffled, stack_photos
from pcn_cli.records.model import Preprocessing


def test_every_photo_comes_once_in_an_epoch_and_carries_its_number():
    order = BatchSampler(11, 4, partial(shuffled, 11, 0))
    order.epoch = 7
    batches = list(order)
    assert [len(batch) for batch in batches] == [4, 4, 3]
    assert {epoch for batch in batches for epoch, _ in batch} == {7}
    assert sorted(position for batch in batches for _, position in batch) == list(range(11))
    order.start = 2
    assert list(order) == batches[2:]
    assert len(order) == 1


def test_a_photo_that_is_drawn_again_is_another_sample():
    drawn = np.array([2, 0, 2, 2])
    order = BatchSampler(4, 3, lambda epoch: drawn + epoch)
    assert list(order) == [[(0, 2), (0, 0), (0, 6)], [(0, 10)]]
    order.epoch, order.start = 1, 1
    assert list(order) == [[(1, 11)]]


def test_a_variation_is_called_with_the_epoch_and_the_position(tmp_path, draw_photo):
    draw_photo(tmp_path / "a.jpg")
    calls = []

    def vary(image, *, epoch, sample):
        calls.append((image.size, epoch, sample))
        return np.zeros((3, 8, 8), np.float32)

    photos = PhotoDataset(
        tmp_path, ["gone.jpg", "a.jpg"], [4, 5], preprocessing=Preprocessing(height=8, width=8), augmentation=vary
    )
    assert photos[3, 1].target == 5
    assert calls == [((24, 16), 3, 1)]
    assert (photos[3, 5].position, photos[3, 5].target) == (1, 5)  # the same photo once more
    assert calls[1:] == [((24, 16), 3, 5)] * 2
    assert photos[3, 0].pixels is None
    assert "does not exist" in photos[3, 0].reason


def test_stacked_photos_are_channels_last_and_the_unreadable_stand_apart():
    pixels = np.arange(24, dtype=np.float32).reshape(3, 2, 4)
    stacked = stack_photos([LoadedPhoto(9, 1, pixels, (7, 5)), LoadedPhoto(3, 2, None, reason="broken")])
    assert torch.equal(stacked.images, torch.from_numpy(pixels)[None])
    assert stacked.images.is_contiguous(memory_format=torch.channels_last)
    assert (stacked.targets.tolist(), stacked.indices.tolist()) == ([1], [9])
    assert stacked.sizes.tolist() == [[7, 5]]
    assert stacked.unreadable == [(3, "broken")]


def test_a_worker_puts_its_batch_straight_into_shared_memory(monkeypatch):
    # Through its heap, the memory of one worker grew by 9 GB in 36,000 photos of 128 × 128 pixels.
    photos = [LoadedPhoto(place, 0, np.full((3, 4, 6), place, np.float32)) for place in range(5)]
    assert not stack_photos(photos).images.is_shared()
    monkeypatch.setattr(torch.utils.data, "get_worker_info", lambda: "a worker")
    images = stack_photos(photos).images
    assert images.is_shared()
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert images[:, 2, 3, 5].tolist() == [0, 1, 2, 3, 4]
