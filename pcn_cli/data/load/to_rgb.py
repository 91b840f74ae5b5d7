"""Any picture that Pillow decodes to 8-bit RGB: 16-bit scaled, transparency over white, CMYK and Lab converted."""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

_BITS_PER_SAMPLE = 258  # TIFF tag


def to_rgb(image: Image.Image) -> Image.Image:
    """The picture as RGB with 8 bits; `image` is loaded and keeps its size."""
    if image.mode.startswith(("I", "F")):
        return _scale_deep(image)
    if image.mode == "LAB":
        converted = ImageCms.applyTransform(image, _lab_to_srgb())
        return converted if converted is not None else image.convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        return _lay_over_white(image.convert("RGBA"))
    return image.convert("RGB")


def _lay_over_white(image: Image.Image) -> Image.Image:
    if image.getchannel("A").getextrema() == (255, 255):
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, image).convert("RGB")


def _scale_deep(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.float32)
    low, high = _value_range(image, values)
    grey = np.clip((np.nan_to_num(values, nan=low) - low) * (255 / (high - low)), 0, 255)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return Image.fromarray(np.rint(grey).astype(np.uint8)).convert("RGB")


def _value_range(image: Image.Image, values: NDArray[np.float32]) -> tuple[float, float]:
    """Black and white: what the format defines, otherwise the smallest common range that holds every value."""
    bits = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, (16,))[0]
    if image.mode.startswith("I;16"):
        return 0.0, float(2 ** min(max(int(bits), 8), 16) - 1)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    for white in (1.0,) if image.mode == "F" else (255.0, 65535.0):
        if low >= 0 and high <= white:
            return 0.0, white
    return low, high if high > low else low + 1


@cache
def _lab_to_srgb() -> ImageCms.ImageCmsTransform:
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(lab, srgb, "LAB", "RGB")
