import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pcn_cli.data.drawing import draw_photos, make_synthetic_picture
from pcn_cli.records.photos import Box

KINDS = ["cross", "leaf", "ring", "star"]
COUNTS = {"train": 2, "val": 0, "test": 1}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Box]]:
    folder = tmp_path_factory.mktemp("set") / "shapes"
    return folder, draw_photos(folder, COUNTS, seed=0)


def test_there_is_a_folder_for_each_part_and_kind_with_photos_in_it(drawn: tuple[Path, list[Box]]) -> None:
    names = [
        f"{part}/{kind}/{kind}_{n:03}.jpg" for kind in KINDS for part, n in (("test", 2), ("train", 0), ("train", 1))
    ]
    assert sorted(contents(drawn[0])) == sorted(names)


def test_the_photos_are_all_different_pictures_of_some_size(drawn: tuple[Path, list[Box]]) -> None:
    folder, _ = drawn
    assert len(set(contents(folder).values())) == 12
    for path in folder.rglob("*.jpg"):
        with Image.open(path) as photo:
            assert photo.format == "JPEG"
            assert photo.mode == "RGB"
            assert min(photo.size) >= 240


def test_the_same_seed_draws_the_same_photos_and_another_does_not(
    drawn: tuple[Path, list[Box]], tmp_path: Path
) -> None:
    folder, boxes = drawn
    assert draw_photos(tmp_path / "same", COUNTS, seed=0) == boxes
    assert contents(tmp_path / "same") == contents(folder)
    draw_photos(tmp_path / "other", COUNTS, seed=1)
    assert not set(contents(tmp_path / "other").values()) & set(contents(folder).values())


def test_the_box_holds_the_most_colourful_part_of_each_photo(drawn: tuple[Path, list[Box]]) -> None:
    folder, boxes = drawn
    assert sorted(box.file for box in boxes) == sorted(contents(folder))
    for box in boxes:
        assert box.label == box.file.split("/")[1]
        with Image.open(folder / box.file) as photo:
            assert photo.size == (box.width, box.height)
            assert 0 < box.xmin < box.xmax < photo.width - 1
            assert 0 < box.ymin < box.ymax < photo.height - 1
            pixels = np.asarray(photo.reduce(8), dtype=int)
        line, column = np.argwhere(colourfulness(pixels) == colourfulness(pixels).max())[0] * 8 + 4
        assert box.xmin - 8 <= column <= box.xmax + 8, box.file
        assert box.ymin - 8 <= line <= box.ymax + 8, box.file


def colourfulness(pixels: np.ndarray) -> np.ndarray:
    return pixels.max(axis=2) - pixels.min(axis=2)


def test_a_seed_gives_the_very_same_pixels_for_ever() -> None:
    picture = make_synthetic_picture(0)
    assert (picture.mode, picture.size) == ("RGB", (320, 224))
    assert hashlib.sha256(picture.tobytes()).hexdigest()[:16] == "d7a0dca9803b1f07"
    assert make_synthetic_picture(1).tobytes() != picture.tobytes()
