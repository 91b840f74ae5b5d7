import multiprocessing
import os
import random
import shutil
import signal
import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from pcn_cli.data.load import loaders
from pcn_cli.data.load.augment import Augmentation
from pcn_cli.data.load.loaders import (
    BatchSampler,
    LoadedPhoto,
    PhotoBatches,
    PhotoDataset,
    preprocess,
    shuffled,
    stack_photos,
)
from pcn_cli.data.load.open_image import open_photo, open_reduced
from pcn_cli.data.load.preprocessing import Prepared
from pcn_cli.errors import DataError, ResourceError
from pcn_cli.records.model import Preprocessing
from pcn_cli.tensors.pixels import Norm

PREPROCESSING = Preprocessing(height=32, width=48)
NORM = Norm(PREPROCESSING.mean, PREPROCESSING.std)


@pytest.fixture
def files(photo_folder):
    return sorted(path.relative_to(photo_folder).as_posix() for path in photo_folder.rglob("*.jpg"))


@pytest.fixture
def load(photo_folder, files):
    opened = []

    def load(*, seed=3, shuffle=True, augmentation=None, batch_size=5, **options):
        photos = PhotoDataset(
            photo_folder, files, range(len(files)), preprocessing=PREPROCESSING, augmentation=augmentation
        )
        order = partial(shuffled, len(files), seed) if shuffle else None
        opened.append(PhotoBatches(photos, batch_size=batch_size, order=order, **options))
        return opened[-1]

    yield load
    for loader in opened:
        loader.close()


def varied(level="medium"):
    return Augmentation(level=level, flip=True, preprocessing=PREPROCESSING, seed=3)


def same(first, second):
    return len(first) == len(second) and all(
        all(torch.equal(a, b) for a, b in zip(x[:4], y[:4], strict=True))
        and x[4:-1] == y[4:-1]
        and (x.windows is y.windows is None or torch.equal(x.windows, y.windows))
        for x, y in zip(first, second, strict=True)
    )


def test_batches_hold_preprocessed_photos_with_their_targets(load, photo_folder, files):
    loader = load(shuffle=False)
    batches = list(loader.batches())
    assert len(batches) == len(loader) == 8
    assert [len(batch.indices) for batch in batches] == [5] * 7 + [1]
    assert torch.cat([batch.indices for batch in batches]).tolist() == list(range(36))
    batch = batches[2]
    assert batch.images.shape == (5, 3, 32, 48)
    assert batch.images.dtype == torch.uint8
    assert batch.images.is_contiguous(memory_format=torch.channels_last)
    assert batch.targets.dtype == batch.indices.dtype == torch.int64
    assert torch.equal(batch.targets, batch.indices)
    expected = preprocess(open_photo(photo_folder / files[12]), PREPROCESSING)
    inputs = batch.inputs(torch.device("cpu"))
    assert inputs.dtype == torch.float32
    assert inputs.is_contiguous(memory_format=torch.channels_last)
    assert np.array_equal(inputs[2].numpy(), expected)


@pytest.mark.parametrize("workers", [1, 2])
def test_any_number_of_workers_gives_the_same_batches(load, workers):
    alone, together = load(augmentation=varied()), load(augmentation=varied(), workers=workers)
    for epoch in (0, 1, 4):
        batches = list(together.batches(epoch))
        assert same(batches, list(alone.batches(epoch)))
        assert batches[0].images.is_contiguous(memory_format=torch.channels_last)


@pytest.fixture
def spawning():
    """New processes are started as on Windows and macOS."""
    usual = multiprocessing.get_start_method()
    multiprocessing.set_start_method("spawn", force=True)
    yield
    multiprocessing.set_start_method(usual, force=True)


@dataclass(frozen=True)
class InTurns:
    """Photos that are varied in several ways, one after another."""

    ways: tuple[Augmentation, ...]
    form = "in turns"

    def least(self, width, height, *, epoch, sample):
        return self.ways[sample % len(self.ways)].least(width, height, epoch=epoch, sample=sample)

    def __call__(self, photo, *, epoch, sample):
        return self.ways[sample % len(self.ways)](photo, epoch=epoch, sample=sample)


@pytest.mark.usefixtures("spawning")
def test_spawned_workers_give_the_same_batches(load):
    padded = replace(varied("medium"), preprocessing=replace(PREPROCESSING, fit="pad"))
    both = InTurns((varied("strong"), padded))
    spawned = load(augmentation=both, workers=1)
    assert same(list(spawned.batches(2)), list(load(augmentation=both).batches(2)))


def test_the_order_is_a_function_of_seed_and_epoch(load):
    def order(loader, epoch):
        return torch.cat([batch.indices for batch in loader.batches(epoch)]).tolist()

    loader = load()
    assert sorted(order(loader, 0)) == list(range(36))
    assert order(loader, 0) == order(load(), 0) == order(loader, 0)
    assert order(loader, 0) != order(loader, 1)
    assert order(loader, 0) != order(load(seed=4), 0)


@pytest.mark.parametrize("workers", [0, 2])
def test_start_goes_on_exactly_without_decoding_what_it_skips(load, photo_folder, files, workers):
    loader = load(augmentation=varied(), workers=workers)
    whole = list(loader.batches(1))
    assert same(list(loader.batches(1, start=3)), whole[3:])
    assert list(loader.batches(1, start=8)) == []
    for batch in whole[:3]:
        for position in batch.indices.tolist():
            (photo_folder / files[position]).unlink()
    assert same(list(loader.batches(1, start=3)), whole[3:])


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_that_is_left_early_does_not_disturb_the_next(load, workers):
    loader = load(workers=workers)
    whole = list(load().batches(1))
    for _ in zip(loader.batches(0), range(2), strict=False):
        pass
    assert same(list(loader.batches(1)), whole)


@pytest.mark.parametrize("workers", [0, 2])
def test_global_random_states_are_left_alone(load, workers):
    torch.manual_seed(1)
    random.seed(1)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    loader = load(augmentation=varied(), workers=workers)
    for epoch in range(2):
        list(loader.batches(epoch))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before[1:]  # noqa: NPY002


@pytest.mark.parametrize("workers", [0, 1])
def test_a_photo_that_cannot_be_opened_is_named(load, photo_folder, files, workers):
    (photo_folder / files[7]).write_bytes(b"<html>")
    with pytest.raises(DataError, match=f"cannot read {files[7]}: a web page") as caught:
        list(load(workers=workers).batches())
    assert "Traceback" not in caught.value.message


@pytest.mark.parametrize("workers", [0, 1])
def test_unreadable_photos_can_be_reported_and_left_out(load, photo_folder, files, workers):
    for position in (7, 30, 31, 32, 33, 34):
        (photo_folder / files[position]).write_bytes(b"")
    told = []
    loader = load(shuffle=False, workers=workers, on_unreadable=lambda *facts: told.append(facts))
    batches = list(loader.batches())
    assert [len(batch.indices) for batch in batches] == [5, 4, 5, 5, 5, 5, 1]
    assert [position for position, _ in told] == [7, 30, 31, 32, 33, 34]
    assert all("0 bytes" in reason for _, reason in told)


@pytest.fixture(autouse=True)
def soon_noticed(monkeypatch):
    """torch looks after its workers every five seconds only."""
    monkeypatch.setattr(_MultiProcessingDataLoaderIter._try_get_data, "__defaults__", (0.1,))


def kill_worker(loader, number=signal.SIGKILL):
    worker = loader._loader._iterator._workers[0]
    if worker.is_alive():  # otherwise it is dead already, and nobody has noticed
        os.kill(worker.pid, number)
        worker.join()


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_dead_worker_is_replaced_at_its_position(load, workers, number):
    """A worker that the system killed for its memory ended the whole training."""
    whole = list(load(batch_size=2, augmentation=varied()).batches(3))
    loader, came = load(workers=workers, batch_size=2, augmentation=varied()), []
    for batch in loader.batches(3):
        came.append(batch)
        if len(came) in (1, 2, 9, len(whole) - 1):
            kill_worker(loader, number)
    assert same(came, whole)


def test_a_worker_that_dies_behind_a_batch_without_a_photo_is_replaced_behind_it(load, photo_folder, files):
    for name in files[2:4]:
        (photo_folder / name).write_bytes(b"")
    told, came = [], []
    loader = load(workers=1, batch_size=2, shuffle=False, on_unreadable=lambda position, _: told.append(position))
    for batch in loader.batches():
        came += batch.indices.tolist()
        if came == [0, 1, 4, 5]:
            kill_worker(loader)
    assert came == [0, 1, *range(4, 36)]
    assert told == [2, 3]


@pytest.fixture
def temporary():
    """A folder with a name short enough for sockets; it goes after what multiprocessing keeps in it."""
    name = tempfile.mkdtemp(prefix="pcn-")
    multiprocessing.util.Finalize(None, shutil.rmtree, args=(name, True), exitpriority=-200)
    return Path(name)


def use_temporary(folder, monkeypatch):
    """In this process, which may have used another already, and in those that it starts."""
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    process = multiprocessing.current_process()
    monkeypatch.setattr(process, "_config", {key: value for key, value in process._config.items() if key != "tempdir"})


def test_a_worker_that_is_killed_leaves_no_folder_of_its_own_behind(load, temporary, monkeypatch):
    """Each left /tmp/pymp-…, with the socket that its batches were fetched from."""
    use_temporary(temporary, monkeypatch)
    loader = load(workers=2, batch_size=9)
    for _ in loader.batches():
        kill_worker(loader)
    loader.close()
    assert [str(path) for path in temporary.iterdir()] == [multiprocessing.util.get_temp_dir()]  # till our end


def test_photos_come_where_the_temporary_folder_has_a_name_too_long_for_sockets(load, temporary, monkeypatch):
    """A worker's batches were lost, and the training waited for them for ever."""
    folder = temporary / ("long" * 20)
    folder.mkdir()
    use_temporary(folder, monkeypatch)
    whole, came = (list(load(workers=workers, batch_size=2).batches()) for workers in (0, 2))
    assert [batch.images.tolist() for batch in came] == [batch.images.tolist() for batch in whole]


class Deadly(PhotoDataset):
    """Kills its process at one photo, so many times."""

    times, place, log = 0, 0, None

    def __getitem__(self, key):
        if key[1] == self.place and len(self.log.read_text()) < self.times:
            self.log.write_text(self.log.read_text() + "x")
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(key)


# A batch that arrives between two deaths is progress, and whether one does is chance: before the first there is none.
@pytest.mark.parametrize(("times", "place"), [(1, 7), (2, 7), (2, 2), (3, 2)])
def test_workers_that_die_at_one_batch_again_and_again_are_an_error(photo_folder, files, tmp_path, times, place):
    photos = Deadly(photo_folder, files, preprocessing=PREPROCESSING)
    photos.times, photos.place, photos.log = times, place, tmp_path / "deaths"
    photos.log.write_text("")
    loader = PhotoBatches(photos, batch_size=4, workers=1)
    if times < 3:
        assert torch.cat([batch.indices for batch in loader.batches()]).tolist() == list(range(36))
    else:
        with pytest.raises(ResourceError, match="a process that loads photos died") as caught:
            list(loader.batches())
        assert "--workers" in caught.value.hint
    loader.close()


def test_a_worker_that_dies_between_two_batches_does_not_interrupt_the_trainer(load):
    batches = (loader := load(workers=1, batch_size=2)).batches()
    next(batches)
    (worker,) = loader._loader._iterator._workers
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    assert sum(range(100_000)) == 4999950000  # an exception from a signal would come here


def test_workers_stay_between_epochs_and_ignore_ctrl_c(load):
    loader = load(workers=1)
    list(loader.batches(0))
    (worker,) = loader._loader._iterator._workers
    os.kill(worker.pid, signal.SIGINT)
    assert len(list(loader.batches(1))) == 8
    assert loader._loader._iterator._workers[0].pid == worker.pid
    loader.close()
    assert not worker.is_alive()


def test_files_and_targets_must_match(photo_folder):
    with pytest.raises(ValueError, match="2 files and 1 targets"):
        PhotoDataset(photo_folder, ["a", "b"], [0], preprocessing=PREPROCESSING)


def test_without_more_words_photos_come_whole_in_their_order(photo_folder):
    files = [f"{label}/{number:02}.jpg" for number in (3, 1) for label in ("red", "blue")]
    (batch,) = PhotoBatches(PhotoDataset(photo_folder, files, preprocessing=PREPROCESSING), batch_size=4).batches()
    assert batch.indices.tolist() == [0, 1, 2, 3]
    assert batch.targets.tolist() == [0, 0, 0, 0]


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


@pytest.mark.parametrize("workers", [0, 1])
def test_of_each_batch_only_the_share_is_loaded_though_it_may_be_none(photo_folder, workers):
    files = [f"red/{number:02}.jpg" for number in range(5)]

    def own(photos: int):
        return np.arange(photos)[1::2]

    dataset = PhotoDataset(photo_folder, files, preprocessing=PREPROCESSING)
    loader = PhotoBatches(dataset, batch_size=4, workers=workers, share=own)
    batches = list(loader.batches())
    loader.close()
    assert len(loader) == 2
    assert [batch.indices.tolist() for batch in batches] == [[1, 3], []]
    assert [batch.targets.tolist() for batch in batches] == [[0, 0], []]


def test_a_variation_is_called_with_the_epoch_and_the_position(tmp_path, draw_photo):
    draw_photo(tmp_path / "a.jpg")
    calls = []

    class Vary:
        form = ""

        def least(self, width, height, *, epoch, sample):
            calls.append((width, height, epoch, sample))
            return width, height

        def __call__(self, photo, *, epoch, sample):
            calls.append((*photo.size, epoch, sample))
            return Prepared(np.zeros((8, 8, 3), np.uint8), (0, 0, 8, 8))

    photos = PhotoDataset(
        tmp_path, ["gone.jpg", "a.jpg"], [4, 5], preprocessing=Preprocessing(height=8, width=8), augmentation=Vary()
    )
    assert photos[3, 1].target == 5
    assert calls == [(24, 16, 3, 1)] * 2
    assert (photos[3, 5].position, photos[3, 5].target) == (1, 5)  # the same photo once more
    assert calls[2:] == [(24, 16, 3, 5)] * 4
    assert photos[3, 0].pixels is None
    assert "does not exist" in photos[3, 0].reason


def test_stacked_photos_are_channels_last_and_the_unreadable_stand_apart():
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    photos = [LoadedPhoto(9, 1, pixels, (7, 5), (0, 0, 4, 2)), LoadedPhoto(3, 2, None, reason="broken")]
    stacked = stack_photos(photos, norm=NORM)
    assert torch.equal(stacked.images, torch.from_numpy(pixels).permute(2, 0, 1)[None])
    assert stacked.windows is None
    assert stacked.images.is_contiguous(memory_format=torch.channels_last)
    assert (stacked.targets.tolist(), stacked.indices.tolist()) == ([1], [9])
    assert stacked.sizes.tolist() == [[7, 5]]
    assert stacked.unreadable == [(3, "broken")]


def test_a_worker_puts_its_batch_straight_into_shared_memory(monkeypatch):
    # Through its heap, the memory of one worker grew by 9 GB in 36,000 photos of 128 × 128 pixels.
    photos = [LoadedPhoto(place, 0, np.full((4, 6, 3), place, np.uint8)) for place in range(5)]
    assert not stack_photos(photos, norm=NORM).images.is_shared()
    monkeypatch.setattr(torch.utils.data, "get_worker_info", lambda: "a worker")
    images = stack_photos(photos, norm=NORM).images
    assert images.is_shared()
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert images[:, 2, 3, 5].tolist() == [0, 1, 2, 3, 4]


def test_padding_survives_the_way_to_the_network(photo_folder, files):
    padded = Preprocessing(height=48, width=48, fit="pad")
    (batch,) = PhotoBatches(PhotoDataset(photo_folder, files[:3], preprocessing=padded), batch_size=3).batches()
    expected = [preprocess(open_photo(photo_folder / file), padded) for file in files[:3]]
    assert batch.windows is not None
    assert np.array_equal(batch.inputs(torch.device("cpu")).numpy(), expected)


@pytest.mark.parametrize("augmentation", [None, varied("light")])
@pytest.mark.parametrize(("draft", "decoded"), [(0, (800, 600)), (2, (200, 150)), (1, (100, 75))])
def test_large_photos_are_decoded_as_far_as_the_recipe_asks(
    tmp_path, draw_scene, monkeypatch, augmentation, draft, decoded
):
    draw_scene(2, width=800, height=600).save(tmp_path / "a.jpg", quality=95)
    wanted = Preprocessing(height=48, width=48, draft=draft)
    augmentation = augmentation and replace(augmentation, preprocessing=wanted)
    opened = []

    def open_and_tell(path, least, **_):
        opened.append(open_reduced(path, least))
        return opened[-1]

    monkeypatch.setattr(loaders, "open_reduced", open_and_tell)
    photo = PhotoDataset(tmp_path, ["a.jpg"], preprocessing=wanted, augmentation=augmentation)[0, 0]
    assert opened[0].image.size == decoded
    assert photo.size == (800, 600)
    whole = PhotoDataset(
        tmp_path,
        ["a.jpg"],
        preprocessing=replace(wanted, draft=0),
        augmentation=augmentation and replace(augmentation, preprocessing=replace(wanted, draft=0)),
    )[0, 0]
    difference = np.abs(photo.pixels.astype(np.float32) - whole.pixels).mean()
    assert difference < (3 if draft == 1 else 1)
    assert (difference == 0) == (draft == 0)


@pytest.mark.gpu
@pytest.mark.parametrize("workers", [0, 2])
def test_batches_for_a_card_lie_in_pinned_memory(load, workers):
    card = torch.device("cuda")
    plain, pinned = load(augmentation=varied()), load(augmentation=varied(), workers=workers, device=card)
    for one, other in zip(plain.batches(), pinned.batches(), strict=True):
        assert other.images.is_pinned()
        assert torch.equal(other.inputs(card).cpu(), one.inputs(torch.device("cpu")))
