from io import BytesIO

import pytest
from PIL import Image

from pcn_cli.report.pictures import as_webp


@pytest.mark.parametrize(
    ("size", "longest", "expected"),
    [((800, 600), 384, (384, 288)), ((30, 60), 384, (30, 60)), ((5000, 2), 100, (100, 1))],
)
def test_pictures_are_made_smaller_and_never_larger(size, longest, expected):
    content, told = as_webp(Image.new("RGB", size), longest=longest)
    assert told == expected == Image.open(BytesIO(content)).size


def test_nothing_of_the_files_metadata_travels_along():
    exif = Image.Exif()
    exif[0x010E] = "a secret"
    exif.get_ifd(0x8825)[1] = "N"
    file = BytesIO()
    Image.new("RGB", (40, 30), "red").save(file, "JPEG", exif=exif, comment=b"a secret")
    with Image.open(file) as photo:
        assert photo.getexif()[0x010E] == "a secret"
        content, _ = as_webp(photo, longest=384)
    assert b"secret" not in content
    assert b"EXIF" not in content
    assert not Image.open(BytesIO(content)).getexif()


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_any_mode_becomes_a_picture(mode):
    content, _ = as_webp(Image.new(mode, (20, 20)), longest=10)
    assert Image.open(BytesIO(content)).mode == "RGB"
