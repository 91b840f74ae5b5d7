"""One map per class, for real: learned from photos of one thing each, looked at on photos of two."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import pcn_cli
from pcn_cli.attention.geometry import map_to_photo
from pcn_cli.data.drawing import HUES, SIZES, Edges, develop, draw_ground, draw_photos, draw_thing, make_box, put
from pcn_cli.data.load.loaders import PhotoBatches, PhotoDataset
from pcn_cli.data.load.preprocessing import place_input
from pcn_cli.models.sources.folder import load_model_folder
from pcn_cli.records.photos import Box

PAIRS = 30


def draw_pairs(folder: Path, count: int, *, seed: int) -> list[Box]:
    """The boxes of the things in the photos that `folder` then holds, as pair_000.jpg: two of different kinds in each.

    Args:
        folder: made where it does not exist.
        count: number of photos.
        seed: another number gives other photos.
    """
    folder.mkdir(parents=True, exist_ok=True)
    boxes = []
    for number in range(count):
        rng = np.random.default_rng([seed, len(HUES), number])
        photo, things = draw_pair(rng)
        photo.save(folder / f"pair_{number:03}.jpg", quality=88)
        boxes += [make_box(f"pair_{number:03}.jpg", label, edges, photo) for label, edges in things.items()]
    return boxes


def draw_pair(rng: np.random.Generator) -> tuple[Image.Image, dict[str, Edges]]:
    """A photo of two things of different kinds, side by side or one above the other, and the box around each."""
    width, height = SIZES[rng.integers(len(SIZES))]
    photo, side = draw_ground(width, height, rng), min(width, height)
    across, things = rng.random() < 0.5, {}
    for label, direction in zip(rng.permutation(list(HUES))[:2].tolist(), (-1, 1), strict=True):
        thing = draw_thing(label, int(side * rng.uniform(0.34, 0.42)), rng)
        apart, aside = direction * side * rng.uniform(0.2, 0.22), side * rng.uniform(-0.2, 0.2)
        x, y = (apart, aside) if across else (aside, apart)
        left, top = int((width - thing.width) / 2 + x), int((height - thing.height) / 2 + y)
        photo, things[label] = put(thing, photo, left, top, rng)
    return develop(photo, rng), things


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[Box]]:
    """Photos of one thing each, and photos of two with the boxes around them."""
    folder = tmp_path_factory.mktemp("drawn")
    draw_photos(folder / "single", {"train": 40, "val": 10, "test": 10}, seed=0)
    return folder / "single", folder / "pairs", draw_pairs(folder / "pairs", PAIRS, seed=1)


@torch.inference_mode()
def energies(model_folder: Path, pairs: Path, boxes: list[Box]) -> np.ndarray:
    """What each class's map holds in the box of its own thing and in that of the other, (2 · PAIRS, 2)."""
    model, config = load_model_folder(model_folder)
    files = sorted({box.file for box in boxes})
    photos = PhotoBatches(PhotoDataset(pairs, files, preprocessing=config.preprocessing), batch_size=PAIRS)
    found = []
    for batch in photos.batches():
        attended = model.attend(batch.inputs(torch.device("cpu")))
        for row, index in enumerate(batch.indices.tolist()):
            size = tuple(batch.sizes[row].tolist())
            placement = place_input(config.preprocessing, *size)
            here = [box for box in boxes if box.file == files[index]]
            for own, other in (here, here[::-1]):
                look = attended.weights[row, config.classes.index(own.label)].reshape(attended.grid).numpy()
                laid = map_to_photo(look, patch_grid=config.patch_grid, placement=placement, size=size, smooth=False)
                energy = np.where(laid.seen, laid.values, 0)
                found.append([inside(energy, box) / energy.sum() for box in (own, other)])
    return np.array(found)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def inside(energy: np.ndarray, box: Box) -> float:
    return float(energy[box.ymin : box.ymax + 1, box.xmin : box.xmax + 1].sum())


def test_each_class_looks_at_its_own_thing_where_two_stand_in_one_photo(
    drawn: tuple[Path, Path, list[Box]], tmp_path: Path
) -> None:
    single, pairs, boxes = drawn
    settings = ["explain.overlays=0"]
    outcome = pcn_cli.finetune(
        single, model="nano", tune="probe", pooling="per-class", settings=settings, output=tmp_path / "run"
    )
    assert outcome.metrics["accuracy"].value >= 0.8
    own, other = energies(outcome.run / "model", pairs, boxes).T
    assert len(own) == 2 * PAIRS
    assert own.mean() >= 0.5
    assert other.mean() <= 0.2
    assert (own > other).mean() >= 0.9


def test_a_pair_is_two_things_of_different_kinds_apart_in_the_middle_square(tmp_path: Path) -> None:
    boxes = draw_pairs(tmp_path / "pairs", 40, seed=0)
    assert sorted(contents(tmp_path / "pairs")) == [f"pair_{number:03}.jpg" for number in range(40)]
    assert len(set(contents(tmp_path / "pairs").values())) == 40
    for one, other in zip(boxes[::2], boxes[1::2], strict=True):
        assert one.file == other.file
        assert one.label != other.label
        apart_x = max(one.xmin, other.xmin) > min(one.xmax, other.xmax)
        apart_y = max(one.ymin, other.ymin) > min(one.ymax, other.ymax)
        assert apart_x or apart_y, one.file
        seen = 0.875 * min(one.width, one.height) / 2  # half of what a square crop shows
        for box in (one, other):
            assert box.width / 2 - seen <= box.xmin < box.xmax <= box.width / 2 + seen, box
            assert box.height / 2 - seen <= box.ymin < box.ymax <= box.height / 2 + seen, box
    assert {box.label for box in boxes} == set(HUES)
    assert draw_pairs(tmp_path / "same", 40, seed=0) == boxes
    assert contents(tmp_path / "same") == contents(tmp_path / "pairs")
