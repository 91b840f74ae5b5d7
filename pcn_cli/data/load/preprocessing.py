"""Evaluation preprocessing, exact: equal bit for bit to torchvision's Resize and CenterCrop on Pillow pictures.

Sizes follow timm: a square input resizes the shorter side, another one keeps the aspect ratio and covers the target.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pcn_cli.records.model import Placement, Preprocessing

FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}

# A 1 × 4000 picture resized to a width of 256 would take a gigabyte; beyond this only what is cut out is resized, which
# differs in the rounding between Pillow's two passes.
_MAX_RESIZED_PIXELS = 2**25


def place_input(preprocessing: Preprocessing, width: int, height: int) -> Placement:
    """Where the input of a `width` × `height` picture lies on it."""
    resized_width, resized_height, left, top = _resize(preprocessing, width, height)
    x, y = width / resized_width, height / resized_height  # original pixels per resized pixel
    return Placement(
        width=width,
        height=height,
        input_width=preprocessing.width,
        input_height=preprocessing.height,
        box=(left * x, top * y, (left + preprocessing.width) * x, (top + preprocessing.height) * y),
    )


def preprocess(image: Image.Image, preprocessing: Preprocessing) -> NDArray[np.float32]:
    """The network's input of an upright picture: (3, height, width), normalised; padding is 0, the mean colour."""
    image = image if image.mode == "RGB" else image.convert("RGB")
    width, height, left, top = _resize(preprocessing, *image.size)
    resample = FILTERS[preprocessing.interpolation]
    if preprocessing.fit != "crop":
        content = image.resize((width, height), resample)
        return normalise(np.asarray(content), preprocessing, left=-left, top=-top)
    if width * height <= _MAX_RESIZED_PIXELS:
        cut = (left, top, left + preprocessing.width, top + preprocessing.height)
        return normalise(np.asarray(image.resize((width, height), resample).crop(cut)), preprocessing)
    box = place_input(preprocessing, *image.size).box
    inside = (max(box[0], 0), max(box[1], 0), min(box[2], image.width), min(box[3], image.height))
    content = image.resize((preprocessing.width, preprocessing.height), resample, box=inside)
    return normalise(np.asarray(content), preprocessing)


def normalise(
    pixels: NDArray[np.uint8], preprocessing: Preprocessing, *, left: int = 0, top: int = 0
) -> NDArray[np.float32]:
    """8-bit RGB pixels (h, w, 3) as input (3, height, width): (value / 255 - mean) / std, with zeros around them.

    The pixels, not larger than the input, begin at its column `left` and row `top`.
    """
    # The same three float32 operations in the same order as torchvision's, once for each possible value.
    values = np.arange(256, dtype=np.float32) / np.float32(255)
    size = (preprocessing.height, preprocessing.width)
    result = np.zeros((3, *size), np.float32) if pixels.shape[:2] != size else np.empty((3, *size), np.float32)
    window = result[:, top : top + pixels.shape[0], left : left + pixels.shape[1]]
    for channel, (mean, std) in enumerate(zip(preprocessing.mean, preprocessing.std, strict=True)):
        window[channel] = ((values - np.float32(mean)) / np.float32(std))[pixels[..., channel]]
    return result


def pad_size(preprocessing: Preprocessing, width: int, height: int) -> tuple[int, int]:
    """The (width, height) at which a picture just fits into the input, at least one pixel each way."""
    scale = min(preprocessing.width / width, preprocessing.height / height)
    fitted = (max(1, round(width * scale)), max(1, round(height * scale)))
    return min(fitted[0], preprocessing.width), min(fitted[1], preprocessing.height)


def _resize(preprocessing: Preprocessing, width: int, height: int) -> tuple[int, int, int, int]:
    """The resized picture's width and height, and where the input's corner lies on it (negative where padded)."""
    if preprocessing.fit == "squash":
        return preprocessing.width, preprocessing.height, 0, 0
    if preprocessing.fit == "pad":
        fitted = pad_size(preprocessing, width, height)
        return *fitted, -((preprocessing.width - fitted[0]) // 2), -((preprocessing.height - fitted[1]) // 2)
    target_width = int(preprocessing.width / preprocessing.crop_pct)
    target_height = int(preprocessing.height / preprocessing.crop_pct)
    if target_width != target_height:
        ratio = min(width / target_width, height / target_height)
        resized_width, resized_height = round(width / ratio), round(height / ratio)
    elif width <= height:
        resized_width, resized_height = target_width, int(target_width * height / width)
    else:
        resized_width, resized_height = int(target_height * width / height), target_height
    # round() goes to the even neighbour, like torchvision's centre crop.
    left = round((resized_width - preprocessing.width) / 2)
    top = round((resized_height - preprocessing.height) / 2)
    return resized_width, resized_height, left, top
