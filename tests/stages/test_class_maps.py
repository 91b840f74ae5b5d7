"""One map per class, for real: learned from photos of one thing each, looked at on photos of two."""

from pathlib import Path

import numpy as np
import pytest
import torch

import pcn_cli
from pcn_cli.attention.geometry import map_to_photo
from pcn_cli.data.drawing import draw_pairs, draw_photos
from pcn_cli.data.load.loaders import PhotoBatches
from pcn_cli.data.load.preprocessing import place_input
from pcn_cli.models.folder import load_model_folder
from pcn_cli.records.photos import Box

PAIRS = 30


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
    photos = PhotoBatches(pairs, files, batch_size=PAIRS, preprocessing=config.preprocessing)
    found = []
    for batch in photos.batches():
        attended = model.attend(batch.images)
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
