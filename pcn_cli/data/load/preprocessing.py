"""Evaluation preprocessing, exact: equal bit for bit to torchvision's Resize and CenterCrop on Pillow pictures.

Sizes follow timm: a square input resizes the shorter side, another one keeps the aspect ratio and covers the target.
Photos whose JPEG is decoded at a fraction of its size differ from that by fractions of a grey level.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pcn_cli.data.load.open_image import OpenedPhoto
from pcn_cli.data.load.photo_cache import KeptPhoto
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


class Prepared(NamedTuple):
    """A photo as it enters the network, before it is normalised.

    `pixels` are (height, width, 3) uint8; `window` is the left, top, right and bottom of what the photo fills of them:
    the rest is padding, which becomes the mean colour.
    """

    pixels: NDArray[np.uint8]
    window: tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Photos prepared as in evaluation; the same for every epoch and sample."""

    preprocessing: Preprocessing

    def least(self, width: int, height: int, *, epoch: int = 0, sample: int = 0) -> tuple[float, float]:  # noqa: ARG002
        """The least size at which a photo of `width` × `height` is wanted: what it is resized to, so many times."""
        draft = self.preprocessing.draft
        resized = _resize(self.preprocessing, width, height)[:2]
        return (draft * resized[0], draft * resized[1]) if draft else (width, height)

    @property
    def form(self) -> str:
        """What `keep` depends on beside the photo."""
        return f"evaluation {self.preprocessing}"

    def least_kept(self, width: int, height: int) -> tuple[float, float]:
        """The least size at which a photo is wanted from which `keep` is made."""
        return self.least(width, height)

    def keep(self, photo: OpenedPhoto) -> KeptPhoto:
        """What of a photo is enough for every epoch: the input itself."""
        return KeptPhoto(*self(photo), photo.size)

    def restore(self, kept: KeptPhoto, *, epoch: int = 0, sample: int = 0) -> Prepared:  # noqa: ARG002
        """The input of a photo that was kept, the same as without."""
        return Prepared(kept.pixels.copy(), kept.window)

    def __call__(self, photo: OpenedPhoto, *, epoch: int = 0, sample: int = 0) -> Prepared:  # noqa: ARG002
        """The network's input of an upright picture."""
        wanted = self.preprocessing
        width, height, left, top = _resize(wanted, *photo.size)
        resample = FILTERS[wanted.interpolation]
        if wanted.fit != "crop":
            return place(np.array(photo.resize((width, height), resample)), wanted, left=-left, top=-top)
        if width * height <= _MAX_RESIZED_PIXELS:
            cut = (left, top, left + wanted.width, top + wanted.height)
            return place(np.array(photo.resize((width, height), resample).crop(cut)), wanted)
        box = place_input(wanted, *photo.size).box
        inside = (max(box[0], 0), max(box[1], 0), min(box[2], photo.size[0]), min(box[3], photo.size[1]))
        return place(np.array(photo.resize((wanted.width, wanted.height), resample, box=inside)), wanted)


def place(pixels: NDArray[np.uint8], preprocessing: Preprocessing, *, left: int = 0, top: int = 0) -> Prepared:
    """8-bit RGB pixels (h, w, 3), not larger than the input, at its column `left` and row `top`."""
    height, width = pixels.shape[:2]
    window = (left, top, left + width, top + height)
    if (height, width) == (preprocessing.height, preprocessing.width):
        return Prepared(pixels, window)
    whole = np.zeros((preprocessing.height, preprocessing.width, 3), np.uint8)
    whole[top : top + height, left : left + width] = pixels
    return Prepared(whole, window)


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
