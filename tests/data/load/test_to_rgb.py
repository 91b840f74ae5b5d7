import numpy as np
import pytest
from PIL import Image

from pcn_cli.data.load.open_image import open_photo
from pcn_cli.data.load.to_rgb import to_rgb


def test_sixteen_bits_are_scaled_not_clipped(tmp_path):
    values = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    for name in ("deep.png", "deep.tif"):
        Image.fromarray(values).save(tmp_path / name)
        grey = np.asarray(open_photo(tmp_path / name))[..., 0]
        assert np.array_equal(grey, np.arange(256, dtype=np.uint8).reshape(16, 16))


def test_float_and_integer_pictures_use_their_range():
    unit = Image.fromarray(np.array([[0.0, 0.5, 1.0]], np.float32))
    assert [pixel[0] for pixel in np.asarray(to_rgb(unit))[0]] == [0, 128, 255]
    signed = Image.fromarray(np.array([[-2.0, np.nan, 2.0]], np.float32))
    assert [pixel[0] for pixel in np.asarray(to_rgb(signed))[0]] == [0, 0, 255]
    integers = Image.fromarray(np.array([[0, 32768, 65535]], np.int32))
    assert [pixel[0] for pixel in np.asarray(to_rgb(integers))[0]] == [0, 128, 255]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "RGBa"])
def test_transparent_parts_are_white(mode):
    clear = Image.new("RGBA", (2, 1), (255, 0, 0, 255))
    clear.putpixel((1, 0), (0, 0, 0, 0))
    picture = clear.convert("P" if mode == "PA" else mode)
    if mode == "PA":
        picture.putalpha(clear.getchannel("A"))
    assert picture.mode == mode
    assert to_rgb(picture).getpixel((1, 0)) == (255, 255, 255)


def test_a_transparent_palette_entry_is_white(tmp_path):
    picture = Image.new("P", (2, 1))
    picture.putpalette([255, 0, 0, 0, 255, 0])
    picture.putpixel((1, 0), 1)
    picture.save(tmp_path / "palette.png", transparency=1)
    photo = open_photo(tmp_path / "palette.png")
    assert [photo.getpixel((x, 0)) for x in (0, 1)] == [(255, 0, 0), (255, 255, 255)]


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "HSV", "RGBX", "LAB", "I", "F", "I;16"])
def test_every_mode_becomes_rgb_of_the_same_size(mode):
    picture = to_rgb(Image.new(mode, (7, 5)))
    assert (picture.mode, picture.size) == ("RGB", (7, 5))


def test_cmyk_keeps_its_colours(tmp_path):
    Image.new("RGB", (16, 16), (200, 30, 40)).convert("CMYK").save(tmp_path / "print.jpg", quality=95)
    assert np.allclose(open_photo(tmp_path / "print.jpg").getpixel((8, 8)), (200, 30, 40), atol=6)
