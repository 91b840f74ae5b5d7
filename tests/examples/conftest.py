"""A small workplace as the texts speak of it: my_images, img.jpg, new_photos, tables, and two finished runs of nano."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pcn_cli
from pcn_cli.data.drawing import draw_ground, draw_photo, draw_thing

ROOT = Path(__file__).resolve().parents[2]
KINDS = {"daisy": "star", "roses": "ring", "tulips": "leaf"}  # what the texts call it: what is drawn
SHORT = (
    "train.probe_epochs=4",
    "explain.checks=8",
    "explain.overlays=4",
)  # settings with which every training is a matter of seconds
SIDE = 64  # of nano's input in pixels
BEDS, OF_EACH = 6, 4  # series of photos in each class, and the photos of each series


@pytest.fixture(scope="session")
def finished_workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that each text gets a copy of; made once."""
    folder = tmp_path_factory.mktemp("texts")
    boxes = draw_folders(folder)
    write_rows(folder / "boxes.csv", ["file", "label", "xmin", "ymin", "xmax", "ymax", "width", "height"], boxes)
    write_tables(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # the latest run is noted in ./runs
        pcn_cli.finetune("my_images", model="nano", size=SIDE, output="runs/my_images-s60-1", settings=list(SHORT))
    (folder / "examples").symlink_to(ROOT / "examples")
    return folder


@pytest.fixture
def workplace(finished_workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the folder, which is where the test runs, with an empty cache of weights."""
    folder = shutil.copytree(finished_workplace, tmp_path / "workplace", symlinks=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PCN_CACHE", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def short() -> list[str]:
    """Options with which every training is a matter of seconds."""
    return [f"--size={SIDE}", *(f"--set={setting}" for setting in SHORT)]


def draw_folders(folder: Path) -> list[list[str | int]]:
    """The boxes of my_images, once all photos are drawn."""
    boxes = []
    for place, (name, kind) in enumerate(KINDS.items()):
        for number in range(BEDS * OF_EACH):
            file = f"{name}/bed{place * BEDS + number // OF_EACH + 1:02}_{number % OF_EACH + 1:03}.jpg"
            photo, edges = draw_photo(kind, np.random.default_rng([1, place, number]))
            save(photo, folder / "my_images" / file)
            boxes.append([file, name, *edges, *photo.size])
        for number in range(3):
            photo, _ = draw_photo(kind, np.random.default_rng([2, place, number]))
            save(photo, folder / "other_photos" / name / f"other{number}.jpg")
            save(photo, folder / "new_photos" / f"{name[0]}{number}.jpg")
    for number in range(48):
        names = list(KINDS)[: 1 + number % len(KINDS)]
        rng = np.random.default_rng([3, number])
        photo = draw_ground(144, 144, rng)
        for corner, name in enumerate(names):
            thing = draw_thing(KINDS[name], 60, rng)
            photo.paste(thing, (corner % 2 * 72, corner // 2 * 72), thing)
        save(photo, folder / "mixed" / f"{'-'.join(names)}_{number:02}.jpg")
    save(draw_photo("star", np.random.default_rng(4))[0], folder / "img.jpg")
    return boxes


def save(photo: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    photo.save(path, quality=85)


def write_tables(folder: Path) -> None:
    """labels.csv for my_images and several.csv for mixed, with their files named from where the table lies."""
    photos = sorted((folder / "my_images").glob("*/*.jpg"))
    parts = {1: "val", 2: "test"}
    rows = [
        [path.relative_to(folder), path.parent.name, parts.get(number // OF_EACH % BEDS, "train"), path.name[:5]]
        for number, path in enumerate(photos)
    ]
    write_rows(folder / "labels.csv", ["file", "label", "split", "group"], rows)
    mixed = [[path.relative_to(folder), path.stem[:-3].replace("-", ";")] for path in (folder / "mixed").iterdir()]
    write_rows(folder / "several.csv", ["file", "labels"], sorted(mixed))


def write_rows(path: Path, header: list[str], rows: list[list]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
