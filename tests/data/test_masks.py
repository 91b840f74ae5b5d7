"""Masks are found by the photo's name, and what is none is said before anything is scored."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pcn_cli.data import masks
from pcn_cli.data.masks import find_masks, read_mask
from pcn_cli.errors import DataError
from pcn_cli.files import child

SIZE = (6, 4)


def put(path: Path, *, mode: str = "L", size: tuple[int, int] = SIZE, value: int = 3) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.zeros((size[1], size[0]), dtype=np.uint8)
    values[1:3, 2:5] = value
    picture = Image.fromarray(values)
    if mode == "P":
        picture.putpalette([0, 0, 0] * 3 + [128, 0, 0])
    (picture if mode in ("L", "P") else picture.convert(mode)).save(path)
    return path


def test_a_mask_lies_at_its_photos_path_or_under_its_name_where_that_is_of_one_photo(tmp_path: Path) -> None:
    sizes = {"a/1.jpg": SIZE, "b/1.jpg": SIZE, "b/2.png": SIZE, "b/3.jpg": SIZE}
    inside, by_name = put(tmp_path / "a" / "1.png"), put(tmp_path / "2.png")
    assert find_masks(tmp_path, sizes) == {"a/1.jpg": inside, "b/2.png": by_name}
    put(tmp_path / "1.png")
    with pytest.raises(DataError, match=r"1\.png: could be of several photos called 1"):
        find_masks(tmp_path, sizes)


@pytest.mark.parametrize("much", [False, True])
@pytest.mark.parametrize(("mode", "value"), [("L", 255), ("L", 1), ("P", 2), ("1", 255), ("RGB", 9)])
def test_what_is_not_0_is_the_object_whatever_number_or_colour_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, value: int, *, much: bool
) -> None:
    monkeypatch.setattr(masks, "takes_much_memory", lambda _: much)
    monkeypatch.setattr(masks, "_BAND", 2 if not much else masks._BAND)
    mask = read_mask(put(tmp_path / "a.png", mode=mode, value=value))
    assert (mask.dtype, mask.shape, mask.sum()) == (np.bool_, SIZE[::-1], 6)
    assert mask[1:3, 2:5].all()


def test_what_is_no_mask_is_refused_with_all_that_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no folder of masks"):
        find_masks(tmp_path / "none", {"a.jpg": SIZE})
    with pytest.raises(DataError, match="no photo that was measured has a mask") as error:
        find_masks(tmp_path, {"a.jpg": SIZE})
    assert "a.png" in str(error.value.hint)
    put(tmp_path / "a.png", size=SIZE[::-1])
    (tmp_path / "b.png").write_bytes(b"no picture")
    put(tmp_path / "c.png", mode="RGBA")
    Image.new("L", SIZE).save(tmp_path / "d.png", format="JPEG")
    with pytest.raises(DataError, match="has what are no masks") as error:
        find_masks(tmp_path, dict.fromkeys(("a.jpg", "b.jpg", "c.jpg", "d.jpg"), SIZE))
    found = ("a.png has 4×6 pixels, and the photo 6×4", "b.png is no PNG", "c.png is of the kind RGBA", "d.png is no")
    for words in found:
        assert words in error.value.message
    content = put(tmp_path / "e.png").read_bytes()
    (tmp_path / "e.png").write_bytes(content[: len(content) // 2 + 8])
    with pytest.raises(DataError, match=r"e\.png cannot be read as a PNG"):
        read_mask(tmp_path / "e.png")


def test_a_vast_mask_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One in colours took a gigabyte with the command itself."""
    monkeypatch.setattr(masks, "takes_much_memory", lambda _: True)
    content = put(tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(content[: len(content) // 2 + 8])
    with pytest.raises(DataError, match=r"a\.png cannot be read as a PNG: \S"):
        read_mask(tmp_path / "a.png")
    monkeypatch.setattr(child, "PROGRAM", "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(DataError, match=r"a\.png cannot be read as a PNG: it takes more memory or time"):
        read_mask(tmp_path / "a.png")
