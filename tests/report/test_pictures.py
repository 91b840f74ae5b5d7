"""Pictures of photos are made once for each content of a photo, and are then what they were."""

import pytest
from PIL import Image

from pcn_cli.files.atomic import sha256_of
from pcn_cli.files.cache import FileCache
from pcn_cli.report.pictures import KeptPictures, PhotoPictures, Size

SIZES = (Size(40, 72), Size(90, above=50), Size(90, above=200))


@pytest.fixture
def opened():
    """The files that were opened, in order."""
    return []


@pytest.fixture
def pictures(tmp_path, opened):
    Image.radial_gradient("L").resize((100, 60)).save(tmp_path / "photo.png")

    def open_photo(file):
        opened.append(file)
        return Image.open(tmp_path / file)

    cache = FileCache(folder=tmp_path / "cache", limit=2**30)
    kept = KeptPictures(cache=cache, hash_photo=lambda file: sha256_of(tmp_path / file))
    return PhotoPictures(open_photo=open_photo, kept=kept)


def test_a_known_photo_is_not_opened_again_and_its_pictures_are_what_would_be_made(pictures, opened):
    made = PhotoPictures(open_photo=pictures.open_photo).draw("photo.png", *SIZES)
    assert pictures.draw("photo.png", *SIZES) == made == pictures.draw("photo.png", *SIZES)
    assert [(one.width, one.height, bool(one.content)) for one in made] == [
        (40, 24, True),
        (90, 54, True),
        (0, 0, False),
    ]
    assert len(opened) == 2


@pytest.mark.parametrize("change", ["content", "size", "damage"])
def test_what_is_not_the_same_is_made_anew(tmp_path, pictures, opened, change):
    pictures.draw("photo.png", SIZES[0])
    if change == "content":
        Image.new("RGB", (100, 60), "red").save(tmp_path / "photo.png")
    elif change == "damage":
        (kept,) = (path for path in (tmp_path / "cache").rglob("*") if path.is_file())
        kept.write_bytes(kept.read_bytes()[:-9])
    size = SIZES[1] if change == "size" else SIZES[0]
    assert pictures.draw("photo.png", size) == PhotoPictures(open_photo=pictures.open_photo).draw("photo.png", size)
    assert len(opened) == 3


def test_a_photo_that_is_gone_has_no_picture_though_it_was_kept(tmp_path, pictures):
    pictures.draw("photo.png", SIZES[0])
    (tmp_path / "photo.png").unlink()
    assert pictures.draw("photo.png", SIZES[0]) is None


def test_of_a_tiny_photo_nothing_is_kept(tmp_path, pictures, opened):
    """To write a file takes longer than to make its picture."""
    Image.radial_gradient("L").resize((64, 48)).save(tmp_path / "photo.png")
    assert pictures.draw("photo.png", SIZES[0]) == pictures.draw("photo.png", SIZES[0])
    assert len(opened) == 2
    assert not (tmp_path / "cache").exists()
