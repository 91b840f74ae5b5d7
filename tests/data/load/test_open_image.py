import io
import os
import threading
import warnings

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, ImageFile, ImageOps
from PIL.PngImagePlugin import PngImageFile

from pcn_cli.data.load import open_image, rgb
from pcn_cli.data.load.open_image import OpenedPhoto, UnreadablePhotoError, open_photo, open_reduced, whole_pixels
from pcn_cli.data.load.rgb import to_rgb
from pcn_cli.errors import StoppedError
from pcn_cli.files import child
from pcn_cli.files.threads import in_threads


def reason_of(path, opened=open_photo):
    with pytest.raises(UnreadablePhotoError) as caught:
        opened(path)
    assert str(path) in caught.value.message
    return caught.value.reason


def try_to_open(path):
    try:
        return open_photo(path).mode
    except UnreadablePhotoError as error:
        return error.reason or "\n"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".avif"])
def test_photos_come_upright_as_pillow_turns_them(tmp_path, orientation, suffix):
    pixels = np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"photo{suffix}"
    Image.fromarray(pixels).save(path, exif=exif.tobytes() if suffix != ".tif" else exif)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    assert np.array_equal(np.asarray(open_photo(path)), expected)
    if suffix in (".png", ".tif") and orientation in (1, 2):
        assert np.array_equal(expected, pixels[:, ::-1] if orientation == 2 else pixels)


def test_damaged_exif_does_not_cost_a_good_picture(tmp_path):
    path = tmp_path / "photo.jpg"
    Image.new("RGB", (9, 5), "red").save(path, exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01garbage")
    assert open_photo(path).size == (9, 5)


def test_first_frame_of_an_animation_is_the_photo(tmp_path):
    path = tmp_path / "moving.gif"
    Image.new("RGB", (8, 8), "red").save(path, save_all=True, append_images=[Image.new("RGB", (8, 8), "blue")])
    assert open_photo(path).getpixel((4, 4)) == (255, 0, 0)


def test_the_extension_does_not_matter(tmp_path):
    path = tmp_path / "photo.jpg"
    Image.new("RGB", (8, 6), "red").save(path, format="PNG")
    assert open_photo(path).size == (8, 6)


def test_every_kind_of_bad_file_has_its_reason(tmp_path):
    jpeg = tmp_path / "cut.jpg"
    Image.effect_noise((200, 200), 50).save(jpeg)
    jpeg.write_bytes(jpeg.read_bytes()[:3000])
    assert "truncated JPEG" in reason_of(jpeg)
    empty = tmp_path / "empty.jpg"
    empty.touch()
    assert "empty file (0 bytes)" in reason_of(empty)
    assert "does not exist" in reason_of(tmp_path / "gone.jpg")
    assert "not a regular file" in reason_of(tmp_path)
    link = tmp_path / "link.jpg"
    link.symlink_to(tmp_path / "gone.jpg")
    assert "link leads nowhere" in reason_of(link)
    png = tmp_path / "header.png"
    png.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0\0\0\x04nonsense" * 4)
    assert "damaged PNG" in reason_of(png)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_a_pipe_is_refused_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    assert "not a regular file" in reason_of(tmp_path / "pipe.jpg")


def test_size_caps_come_before_decoding(tmp_path, monkeypatch):
    path = tmp_path / "large.png"
    Image.new("1", (12001, 10000)).save(path)
    assert path.stat().st_size < 100_000
    monkeypatch.setattr(Image.core, "draw", None)
    assert "12001×10000 is more than the 120 megapixels" in reason_of(path)
    monkeypatch.setattr(open_image, "MAX_BYTES", 2**20)
    heavy = tmp_path / "heavy.jpg"
    with heavy.open("wb") as file:
        file.truncate(3 * 2**20)
    assert "3 MB is more than the 1 MB" in reason_of(heavy)


@pytest.mark.parametrize("error", [OSError("x"), SyntaxError("x"), TypeError("x"), MemoryError(), ValueError("")])
def test_whatever_a_decoder_raises_becomes_a_reason(tmp_path, monkeypatch, error):
    path = tmp_path / "photo.jpg"
    Image.new("RGB", (8, 8)).save(path)

    def fail(*_):
        raise error

    monkeypatch.setattr(Image.Image, "getexif", lambda _: {})
    monkeypatch.setattr(open_image, "to_rgb", fail)
    assert "JPEG" in reason_of(path)


def test_warnings_of_the_decoder_stay_inside(tmp_path, monkeypatch):
    path = tmp_path / "large.png"
    Image.new("1", (100, 95)).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 9000)  # above which Pillow warns of a decompression bomb
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(Image.DecompressionBombWarning):
            Image.open(path)
        assert open_photo(path).size == (100, 95)


def test_several_threads_open_photos_without_a_warning_and_leave_the_filters_as_they_were(tmp_path, monkeypatch):
    path = tmp_path / "photo.png"
    Image.new("RGB", (8, 8)).save(path)
    barrier, to_rgb = threading.Barrier(4, timeout=30), open_image.to_rgb

    def warn_together(image, **_):
        barrier.wait()  # all four are inside
        warnings.warn("odd metadata", stacklevel=1)
        return to_rgb(image)

    monkeypatch.setattr(open_image, "to_rgb", warn_together)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = list(warnings.filters)
        sizes = [photo.size for photo in in_threads(open_photo, [path] * 40, workers=4)]
        assert warnings.filters == before
    assert sizes == [(8, 8)] * 40


def test_mutated_images_are_opened_or_refused_with_a_reason(tmp_path):
    rng = np.random.default_rng(7)
    picture = Image.fromarray(rng.integers(0, 256, (24, 24, 3), dtype=np.uint8))
    path = tmp_path / "photo"
    reasons = []
    for kind in ("JPEG", "PNG", "WEBP", "BMP", "GIF"):
        picture.save(path, format=kind)
        content = bytearray(path.read_bytes())
        for _ in range(60):
            mutated = bytearray(content)
            for at in rng.integers(0, len(mutated), 4):
                mutated[at] = rng.integers(256)
            path.write_bytes(mutated[: rng.integers(1, len(mutated) + 1)] if rng.random() < 0.3 else mutated)
            reasons.append(try_to_open(path))
    assert len(reasons) == 300
    assert not [reason for reason in reasons if "\n" in reason or "0x" in reason]


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


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "LA", "I;16", "I", "F", "LAB", "CMYK"])
def test_a_picture_in_bands_is_the_picture_at_once(monkeypatch, draw_scene, mode):
    picture = draw_scene(1, width=60, height=41).convert("L" if mode == "I;16" else "RGB" if mode == "LAB" else mode)
    if mode in ("I", "F"):
        picture = Image.fromarray(np.asarray(picture) * (-1.5 if mode == "F" else 70_000))
    picture = picture.convert(mode) if mode == "I;16" else picture
    if mode == "LAB":
        picture = ImageCms.applyTransform(
            picture,
            ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"),
        )
    whole = to_rgb(picture)
    monkeypatch.setattr(rgb, "_BAND_PIXELS", 500)
    assert np.array_equal(np.asarray(to_rgb(picture)), np.asarray(whole))
    assert np.array_equal(np.asarray(to_rgb(picture, factor=3)), np.asarray(whole.reduce(3)))


def test_cmyk_keeps_its_colours(tmp_path):
    Image.new("RGB", (16, 16), (200, 30, 40)).convert("CMYK").save(tmp_path / "print.jpg", quality=95)
    assert np.allclose(open_photo(tmp_path / "print.jpg").getpixel((8, 8)), (200, 30, 40), atol=6)


@pytest.mark.parametrize("place", ["open", "Image.load", "Image.getexif", "Image.convert"])
@pytest.mark.parametrize("stop", [StoppedError("stopped", signal_number=15), KeyboardInterrupt()])
def test_a_request_to_stop_is_no_damage(tmp_path, monkeypatch, place, stop):
    """Seen: a SIGTERM while a photo was decoded made it a "damaged JPEG (stopped)"."""
    path = tmp_path / "a.png"
    Image.new("P", (8, 8)).save(path)

    def stopping(*_, **__):
        raise stop

    owner, _, name = place.rpartition(".")
    kinds = [Image.Image, PngImageFile] if owner else [Image]
    for kind in kinds:
        monkeypatch.setattr(kind, name, stopping)
    with pytest.raises(type(stop)):
        open_photo(path)


def save_scene(path, draw_scene, *, orientation=1, size=(803, 605), mode="RGB"):
    """A JPEG whose sides are no multiples of 8, so that a reduced picture ends within a pixel."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    draw_scene(3, width=size[0], height=size[1]).convert(mode).save(path, quality=95, exif=exif.tobytes())


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("least", "scale"), [((803, 605), 1), ((402, 200), 1), ((401, 302), 2), ((200, 80), 4), ((9, 9), 8)]
)
def test_a_reduced_photo_lies_where_the_whole_one_does(tmp_path, draw_scene, orientation, least, scale):
    save_scene(tmp_path / "photo.jpg", draw_scene, orientation=orientation)
    whole = open_reduced(tmp_path / "photo.jpg")
    turned = orientation >= 5
    seen = []
    reduced = open_reduced(
        tmp_path / "photo.jpg", lambda *size: (seen.append(size), least[::-1] if turned else least)[1]
    )
    assert seen == [whole.size] == [(605, 803) if turned else (803, 605)]
    assert reduced.size == whole.size
    assert reduced.image.size == tuple(-(-side // scale) for side in whole.size)
    for box in (None, (100.0, 60.0, 500.0, 420.0), (0.0, 0.0, *whole.size)):
        first, second = (
            np.asarray(photo.resize((60, 50), Image.Resampling.BICUBIC, box=box), np.float32)
            for photo in (whole, reduced)
        )
        assert np.abs(first - second).mean() < 1.5  # misplaced by one pixel of the eighth it is more than 3


@pytest.mark.parametrize("suffix", [".png", ".webp", ".bmp"])
def test_only_a_jpeg_is_reduced(tmp_path, draw_scene, suffix):
    draw_scene(1, width=320, height=240).save(tmp_path / f"photo{suffix}")
    photo = open_reduced(tmp_path / f"photo{suffix}", lambda *_: (8, 8))
    assert photo.image.size == photo.size == (320, 240)


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_a_reduced_photo_keeps_its_colours(tmp_path, draw_scene, mode):
    save_scene(tmp_path / "photo.jpg", draw_scene, mode=mode)
    whole, reduced = open_reduced(tmp_path / "photo.jpg"), open_reduced(tmp_path / "photo.jpg", lambda *_: (101, 76))
    assert reduced.image.size == (201, 152)
    assert (reduced.image.mode, reduced.mode) == ("RGB", mode)
    first, second = (np.asarray(one.resize((40, 30), Image.Resampling.BOX), np.float32) for one in (whole, reduced))
    assert np.abs(first - second).mean() < 1


def test_damage_is_found_in_a_reduced_photo_as_well(tmp_path, draw_scene):
    save_scene(tmp_path / "photo.jpg", draw_scene)
    content = (tmp_path / "photo.jpg").read_bytes()
    (tmp_path / "photo.jpg").write_bytes(content[: len(content) // 2])
    with pytest.raises(UnreadablePhotoError, match="truncated JPEG"):
        open_reduced(tmp_path / "photo.jpg", lambda *_: (50, 50))


def test_a_part_at_the_edge_of_a_photo_can_be_resized():
    photo = OpenedPhoto(Image.new("RGB", (34, 34)), (267, 267), (0.625, 0.0, 34.0, 33.375))
    assert photo.resize((9, 9), Image.Resampling.BICUBIC, box=(0.1, 266.2, 267.0, 267.0)).size == (9, 9)


@pytest.mark.parametrize(
    ("box", "pixels"),
    [
        ((0.0, 0.0, 34.0, 20.0), (0, 0, 34, 20)),
        ((1.4, 2.6, 9.6, 12.4), (1, 3, 10, 12)),
        ((-0.4, 0.0, 34.4, 20.6), (0, 0, 34, 20)),
        ((7.6, 19.8, 7.7, 20.0), (8, 19, 9, 20)),
        ((33.9, 0.2, 34.0, 0.4), (33, 0, 34, 1)),
    ],
)
def test_whole_pixels_are_inside_and_never_none(box, pixels):
    assert whole_pixels(box, (34, 20)) == pixels


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_pixels_of_a_cut_lie_where_its_box_does(tmp_path, draw_scene, orientation):
    save_scene(tmp_path / "photo.jpg", draw_scene, orientation=orientation)
    whole, reduced = (open_reduced(tmp_path / "photo.jpg", least) for least in (None, lambda *_: (200, 200)))
    box = (100.0, 60.0, 500.0, 420.0)
    first, second = (
        np.asarray(Image.fromarray(photo.cut(box)).resize((60, 50), Image.Resampling.BICUBIC), np.float32)
        for photo in (whole, reduced)
    )
    assert whole.cut(box).shape == (360, 400, 3)
    assert reduced.cut(box).shape[0] < 200
    assert np.abs(first - second).mean() < 1.5


def test_a_picture_that_is_rgb_is_not_copied():
    photo = Image.new("RGB", (3, 2))
    assert to_rgb(photo) is photo


def test_a_jpeg_that_lacks_only_its_end_is_opened_and_one_that_lacks_more_is_not(tmp_path, draw_scene):
    whole, path = tmp_path / "whole.jpg", tmp_path / "cut.jpg"
    for saved in ({}, {"progressive": True}, {"subsampling": 0, "optimize": True}):
        draw_scene(1, width=320, height=200).save(whole, quality=90, **saved)
        content = whole.read_bytes()
        path.write_bytes(content[:-2])
        assert np.array_equal(np.asarray(open_photo(path)), np.asarray(open_photo(whole)))
        for missing in (12, 40, 1000, len(content) // 2):
            path.write_bytes(content[:-missing])
            assert "truncated JPEG" in reason_of(path), (saved, missing)


@pytest.mark.parametrize(
    ("suffix", "saved", "lacking"),
    [
        (".jpg", {}, 0.1),
        (".jpg", {}, 0.4),
        (".jpg", {"exif": 6}, 0.4),
        (".jpg", {"exif": 3}, 0.2),
        (".jpeg", {"subsampling": 0}, 0.3),
        (".png", {}, 0.3),
    ],
)
def test_a_truncated_photo_is_opened_as_far_as_it_goes_where_that_is_asked_for(tmp_path, suffix, saved, lacking):
    """Viewers show such photos, and there was no way to use them."""
    path, exif = tmp_path / f"photo{suffix}", Image.Exif()
    exif[ExifTags.Base.Orientation] = saved.get("exif", 1)
    pixels = np.random.default_rng(1).integers(0, 256, (30, 40, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    Image.fromarray(pixels).save(path, **saved | {"exif": exif.tobytes()})
    whole, content = open_photo(path), path.read_bytes()
    path.write_bytes(content[: int(len(content) * (1 - lacking))])
    assert f"truncated {'PNG' if suffix == '.png' else 'JPEG'}" in reason_of(path)
    reduced, photo = open_reduced(path, lambda *_: (9, 9), load_truncated=True), open_photo(path, load_truncated=True)
    assert reduced.missing == pytest.approx(lacking, abs=0.12)
    assert reduced.size == photo.size == whole.size
    turned = {6: Image.Transpose.ROTATE_90, 3: Image.Transpose.ROTATE_180}.get(saved.get("exif", 1))
    first, second = (np.asarray(one.transpose(turned) if turned else one) for one in (whole, photo))
    assert np.array_equal(first[:120], second[:120])
    assert len(np.unique(second[-8:].reshape(-1, 3), axis=0)) == 1


@pytest.mark.parametrize(
    ("suffix", "share", "reason"),
    [
        (".jpg", 0.3, "% of the picture is missing"),
        (".png", 0.3, "% of the picture is missing"),
        *((f".{kind}", 0.9, f"damaged {kind.upper()}") for kind in ("bmp", "gif", "tiff", "webp")),
    ],
)
def test_too_little_of_a_photo_is_not_used(tmp_path, suffix, share, reason):
    path = tmp_path / f"photo{suffix}"
    Image.effect_noise((160, 160), 90).convert("RGB").save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert reason in reason_of(path, lambda one: open_photo(one, load_truncated=True))
    assert not ImageFile.LOAD_TRUNCATED_IMAGES  # nobody else asked for it


def test_a_truncated_photo_that_takes_a_process_of_its_own_is_told_as_well(tmp_path, draw_scene, monkeypatch):
    save_scene(tmp_path / "photo.jpg", draw_scene)
    content = (tmp_path / "photo.jpg").read_bytes()
    (tmp_path / "photo.jpg").write_bytes(content[: int(len(content) * 0.8)])
    here = open_reduced(tmp_path / "photo.jpg", lambda *_: (50, 50), load_truncated=True)
    monkeypatch.setattr(open_image, "_BYTES_HERE", 1000)
    apart = open_reduced(tmp_path / "photo.jpg", lambda *_: (50, 50), load_truncated=True)
    assert (apart.missing, apart.image.tobytes()) == (here.missing, here.image.tobytes())
    assert "truncated JPEG" in reason_of(tmp_path / "photo.jpg", open_reduced)


def save_large(path, draw_scene, mode):
    """A picture of that mode, with what its format can say of it."""
    picture = draw_scene(1, width=90, height=60)
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 200)
    elif mode == "turned":
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6
        picture.save(path, quality=95, exif=exif)
        return
    elif mode == "RGBA":
        picture.putalpha(picture.convert("L"))
    else:
        picture = picture.convert(mode)
    picture.save(path)


@pytest.mark.parametrize(
    ("mode", "suffix", "limit"),
    [
        ("RGBA", ".webp", "_BYTES_HERE"),
        ("I;16", ".tif", "_MEMORY_HERE"),
        ("F", ".tif", "_MEMORY_HERE"),
        ("turned", ".jpg", "_MEMORY_HERE"),
    ],
)
def test_what_takes_much_is_decoded_apart_to_the_same_pixels(tmp_path, monkeypatch, draw_scene, mode, suffix, limit):
    path = tmp_path / f"photo{suffix}"
    save_large(path, draw_scene, mode)
    least = (lambda width, height: (width / 4, height / 4)) if mode == "turned" else None
    here = open_reduced(path, least)
    monkeypatch.setattr(open_image, limit, 0)
    monkeypatch.setattr(open_image, "to_rgb", None)  # which is not needed here any more
    apart = open_reduced(path, least)
    assert np.array_equal(np.asarray(apart.image), np.asarray(here.image))
    assert (apart.size, apart.box, apart.mode) == (here.size, here.box, here.mode)


def test_a_vast_photo_has_fewer_pixels_and_the_same_place(tmp_path):
    width, height = 6001, 5701
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    left = Image.new("L", (width, height), 40)
    left.paste(200, (width // 2, 0, width, height))
    left.save(tmp_path / "vast.png", exif=exif, compress_level=1)
    photo = open_reduced(tmp_path / "vast.png")
    assert photo.size == (height, width)
    assert photo.image.width * photo.image.height <= open_image.MOST_WHOLE
    small = np.asarray(photo.resize((8, 8), Image.Resampling.BOX))[..., 0]
    assert (small[:4] == 40).all()
    assert (abs(small[4:] - 200.0) <= 1).all()
    assert open_photo(tmp_path / "vast.png").size == (height, width)  # from which boxes may be cut
    least = open_reduced(tmp_path / "vast.png", lambda *_: (32, 32))
    assert least.is_vast
    for picture, factor in ((least.image, 5), (photo.show(), 4)):
        assert picture.size == (-(-height // factor), -(-width // factor))
        assert open_image.LEAST_SHOWN <= max(picture.size) < 2 * open_image.LEAST_SHOWN


def test_a_file_of_few_bytes_does_not_take_more_memory_than_a_photo_may(tmp_path):
    path = tmp_path / "vast.webp"  # 119 megapixels with transparency, for which its decoder keeps several copies
    path.write_bytes(bytes.fromhex("524946461e000000574542505650384c110000002f7beec31907508f22d7a3648188e87f0000"))
    for opened in (open_photo, open_reduced):
        assert "takes more memory than a photo may" in reason_of(path, opened)


def test_a_decoder_that_is_ended_is_told(tmp_path, monkeypatch):
    path = tmp_path / "photo.png"
    Image.new("RGB", (8, 8)).save(path)
    monkeypatch.setattr(open_image, "_BYTES_HERE", 0)
    monkeypatch.setattr(child, "PROGRAM", "import os; os.kill(os.getpid(), 9)")
    assert "PNG that takes more memory or time" in reason_of(path, open_reduced)


def test_files_that_ask_for_the_same_work_again_and_again_are_refused_or_read_once(tmp_path, monkeypatch):
    file = io.BytesIO()
    Image.new("L", (2500, 2000), 77).save(file, "JPEG", progressive=True)
    content = file.getvalue()
    scan = content[content.rindex(b"\xff\xda") : -2]
    (tmp_path / "scans.jpg").write_bytes(content[:-2] + scan * 500 + b"\xff\xd9")
    assert "scans" in reason_of(tmp_path / "scans.jpg")
    monkeypatch.setattr(open_image, "_MOST_PAGES", 9)
    pages = [Image.new("L", (4, 4), number) for number in range(20)]
    path = tmp_path / "pages.tif"
    pages[0].save(path, save_all=True, append_images=pages[1:])
    content = path.read_bytes()
    with Image.open(path) as image:
        image.seek(15)
        places = image._frame_pos
    for number, is_read in ((3, False), (8, False), (12, True)):  # where the chain is broken
        path.write_bytes(content[: places[number]] + b"\xff" * (len(content) - places[number]))
        if is_read:
            assert open_photo(path).getpixel((0, 0)) == (0, 0, 0)
        else:
            assert "TIFF" in reason_of(path)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "jpeg"])
def test_nothing_but_the_reason_is_said_of_a_damaged_tiff(tmp_path, capfd, compression):
    path = tmp_path / "photo.tif"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(
        path, compression=compression
    )
    content = path.read_bytes()
    path.write_bytes(content[:8] + bytes(400) + content[408:])
    assert reason_of(path).startswith("damaged TIFF (")
    assert capfd.readouterr().err == ""
