"""Crops of photos that take much memory: a process of its own gives the same bytes, and what ends it is told."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from pcn_cli.data.boxes import crops
from pcn_cli.data.boxes.crops import cut_photo
from pcn_cli.data.load import open_image
from pcn_cli.data.load.open_image import UnreadablePhotoError, takes_much_memory
from pcn_cli.errors import DataError
from pcn_cli.files import child
from pcn_cli.records.photos import Box


def boxes_in(folder: Path, count: int = 3):
    """What to cut out of a photo of any size."""
    return lambda size, _: [
        (
            folder / f"{n}.png",
            Box(file="", xmin=n, ymin=2, xmax=n + 9, ymax=12, label="", width=size[0], height=size[1]),
        )
        for n in range(count)
    ]


@pytest.fixture
def apart(monkeypatch):
    """Let every photo be cut in a process of its own."""
    monkeypatch.setattr(crops, "takes_much_memory", lambda _: True)


def save_photo(path: Path, mode: str) -> Path:
    rng, exif = np.random.default_rng(1), Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    if mode == "I;16":
        picture = Image.fromarray(rng.integers(0, 2**16, (30, 40), dtype=np.uint16))
    else:
        picture = Image.fromarray(rng.integers(0, 256, (30, 40, len(mode)), dtype=np.uint8))
    picture.save(path, exif=exif)
    return path


@pytest.mark.parametrize(("suffix", "mode"), [(".png", "RGBA"), (".tif", "I;16"), (".jpg", "RGB")])
def test_a_process_of_its_own_gives_the_same_crops(tmp_path, monkeypatch, suffix, mode):
    path = save_photo(tmp_path / f"photo{suffix}", mode)
    assert not takes_much_memory(path)
    here = cut_photo(path, boxes_in(tmp_path / "here"))
    monkeypatch.setattr(open_image, "_MEMORY_HERE", 0)
    monkeypatch.setattr(crops, "open_whole", None)  # which is not needed here any more
    assert takes_much_memory(path)
    assert cut_photo(path, boxes_in(tmp_path / "apart")) == here
    for n in range(3):
        assert (tmp_path / "apart" / f"{n}.png").read_bytes() == (tmp_path / "here" / f"{n}.png").read_bytes()


def test_whether_a_photo_takes_much_is_asked_of_its_header_alone(tmp_path):
    header = struct.pack(">4sIIBBBBB", b"IHDR", 11_900, 10_000, 8, 2, 0, 0, 0)
    chunks = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)) + b"\0\0\0\x01IDAT\0"
    (tmp_path / "vast.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)  # there is no pixel in it
    (tmp_path / "no picture.png").write_bytes(b"no picture")
    assert takes_much_memory(tmp_path / "vast.png")
    for other in (tmp_path / "no picture.png", tmp_path / "gone.png", tmp_path, Path("/dev/zero")):
        assert not takes_much_memory(other)


def test_a_photo_that_cannot_be_read_and_a_process_that_is_ended_are_told(tmp_path, monkeypatch, apart):
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    with pytest.raises(UnreadablePhotoError, match="truncated JPEG"):
        cut_photo(tmp_path / "broken.jpg", boxes_in(tmp_path / "crops"))
    monkeypatch.setattr(child, "PROGRAM", "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(DataError, match=r"photo\.png: to cut its boxes out takes more memory or time than a photo may"):
        cut_photo(save_photo(tmp_path / "photo.png", "RGB"), boxes_in(tmp_path / "crops"))
    assert not (tmp_path / "crops").exists()
