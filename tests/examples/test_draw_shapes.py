import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "draw_shapes.py"
KINDS = ["cross", "leaf", "ring", "star"]


def draw(folder: Path, *options: str) -> str:
    command = [sys.executable, "-W", "error", str(SCRIPT), str(folder), "--per-class", "3", *options]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("set") / "shapes"
    assert draw(folder) == f"12 photos of cross, leaf, ring, star in {folder}\n"
    return folder


def test_there_is_a_folder_for_each_kind_with_photos_in_it(drawn: Path) -> None:
    assert sorted(contents(drawn)) == [f"{kind}/{kind}_{number:03}.jpg" for kind in KINDS for number in range(3)]


def test_the_photos_are_all_different_pictures_of_some_size(drawn: Path) -> None:
    assert len(set(contents(drawn).values())) == 12
    for path in drawn.rglob("*.jpg"):
        with Image.open(path) as photo:
            assert photo.format == "JPEG"
            assert photo.mode == "RGB"
            assert min(photo.size) >= 240


def test_the_same_seed_draws_the_same_photos_and_another_does_not(drawn: Path, tmp_path: Path) -> None:
    draw(tmp_path / "same" / "shapes", "--seed", "0")
    assert contents(tmp_path / "same") == contents(drawn.parent)
    draw(tmp_path / "other" / "shapes", "--seed", "1")
    assert not set(contents(tmp_path / "other" / "shapes").values()) & set(contents(drawn).values())


def test_the_box_beside_the_folder_holds_the_most_colourful_part_of_each_photo(drawn: Path) -> None:
    with (drawn.parent / "boxes.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == sorted(contents(drawn))
    for row in rows:
        left, top, right, bottom = (int(row[name]) for name in ("xmin", "ymin", "xmax", "ymax"))
        with Image.open(drawn / row["file"]) as photo:
            assert photo.size == (int(row["width"]), int(row["height"]))
            assert 0 < left < right < photo.width
            assert 0 < top < bottom < photo.height
            pixels = np.asarray(photo.reduce(8), dtype=int)
        line, column = np.argwhere(colourfulness(pixels) == colourfulness(pixels).max())[0] * 8 + 4
        assert left - 8 <= column <= right + 8, row["file"]
        assert top - 8 <= line <= bottom + 8, row["file"]


def colourfulness(pixels: np.ndarray) -> np.ndarray:
    return pixels.max(axis=2) - pixels.min(axis=2)
