"""Pictures of any mode as RGB with 8 bits, band by band, so that a large one is never there more than once."""

from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

_BAND_PIXELS = 2**22
_BITS_PER_SAMPLE = 258  # TIFF tag

Convert = Callable[[Image.Image], Image.Image]


def to_rgb(image: Image.Image, *, factor: int = 1) -> Image.Image:
    """The picture as RGB with 8 bits, each pixel the mean of `factor` × `factor`; `image` is loaded.

    One that is RGB already is given back itself.
    """
    if factor == 1 and image.mode == "RGB" and "transparency" not in image.info:
        return image
    convert = _choose(image)
    if factor == 1 and image.width * image.height <= _BAND_PIXELS:
        return convert(image).convert("RGB")
    target = Image.new("RGB", (-(-image.width // factor), -(-image.height // factor)))
    for top, band in _bands(image, factor):
        whole = convert(band)
        target.paste(whole.reduce(factor) if factor > 1 else whole, (0, top // factor))
    return target


def _bands(image: Image.Image, factor: int = 1) -> Iterator[tuple[int, Image.Image]]:
    """Rows of the picture, a multiple of `factor` of them at once, with the place of the first."""
    rows = factor * max(1, _BAND_PIXELS // (image.width * factor))
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _choose(image: Image.Image) -> Convert:
    """What makes RGB of the picture, or of a band of it, or grey, which takes a third."""
    if image.mode.startswith(("I", "F")):
        return _scaling(image)
    if image.mode == "LAB":
        return lambda band: ImageCms.applyTransform(band, _lab_to_srgb()) or band.convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        return _lay_on_white
    return _keep if image.mode in ("RGB", "L") else _turn


def _keep(image: Image.Image) -> Image.Image:
    return image


def _turn(image: Image.Image) -> Image.Image:
    return image.convert("RGB")


def _lay_on_white(image: Image.Image) -> Image.Image:
    image = image.convert("RGBA")
    if image.getchannel("A").getextrema() != (255, 255):
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _scaling(image: Image.Image) -> Convert:
    """What scales the numbers of the picture so that black is 0 and white is 255."""
    low, high = _value_range(image)
    transparent = image.info.get("transparency")

    def scale(values: NDArray[np.float32]) -> NDArray[np.uint8]:
        grey = values - np.float32(low)
        grey *= 255 / (high - low)
        np.clip(grey, 0, 255, out=grey)
        if np.isnan(np.sum(grey)):
            grey[np.isnan(grey)] = 0
        if isinstance(transparent, int):
            grey[values == transparent] = 255
        np.rint(grey, out=grey)
        return grey.astype(np.uint8)

    table = scale(np.arange(2**16, dtype=np.float32)) if image.mode.startswith("I;16") else None

    def convert(band: Image.Image) -> Image.Image:
        numbers = np.asarray(band)
        return Image.fromarray(scale(numbers.astype(np.float32, copy=False)) if table is None else table[numbers])

    return convert


def _value_range(image: Image.Image) -> tuple[float, float]:
    """Black and white: what the format defines, otherwise the smallest common range that holds every value."""
    bits = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, (16,))[0]
    if image.mode.startswith("I;16"):
        return 0.0, float(2 ** min(max(int(bits), 8), 16) - 1)
    ends = list[float]()
    for _, band in _bands(image):
        values = np.asarray(band).astype(np.float32, copy=False)
        found = np.array([values.min(), values.max()])
        if not np.isfinite(found).all():
            values = values[np.isfinite(values)]
            found = np.array([values.min(), values.max()]) if values.size else values
        ends += found.tolist()
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    for white in (1.0,) if image.mode == "F" else (255.0, 65535.0):
        if low >= 0 and high <= white:
            return 0.0, white
    return low, high if high > low else low + 1


@cache
def _lab_to_srgb() -> ImageCms.ImageCmsTransform:
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(lab, srgb, "LAB", "RGB")
