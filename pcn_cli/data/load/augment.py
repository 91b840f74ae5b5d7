"""How training photos are varied: cut, resized by torch (antialiased as in evaluation), then by albumentations.

torch resizes 8-bit pixels three to four times as fast as Pillow, with the same filters and weights of 16 bits.

Evaluation never comes here. Randomness is a pure function of (seed, epoch, sample), whatever process draws it.
"""

import math
import random
from dataclasses import dataclass
from functools import lru_cache

import albumentations
import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from pcn_cli.data.load.open_image import OpenedPhoto, Rectangle, Size, whole_pixels
from pcn_cli.data.load.photo_cache import KeptPhoto
from pcn_cli.data.load.preprocessing import Evaluation, Prepared, pad_size, place
from pcn_cli.recipe.schema import Level
from pcn_cli.records.model import Preprocessing

# Loader workers are the parallelism; OpenCV's own threads would also not survive a fork.
cv2.setNumThreads(0)

# Smallest share of the photo's area that a cut keeps.
SMALLEST_CUT: dict[Level, float] = {"light": 0.7, "medium": 0.4, "strong": 0.25}

_LOG_ASPECT = math.log(4 / 3)  # a cut's shape differs from the input's by at most this factor
_TRIES = 10
_SMALLEST_SIDE = 8  # OpenCV drops a dimension of a strip one pixel wide, and there is nothing to vary in one
_DOMAIN = 1  # tells these streams from the loader's order, which is drawn from the same seed


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Varied inputs for the network, of the size of `preprocessing`.

    With `fit: crop` the cut takes the input's shape; with `pad` and `squash` it keeps the photo's shape and is then
    fitted like the whole photo, so that nothing is lost but what the cut leaves out. Level "none" is `Evaluation`.
    """

    level: Level
    flip: bool
    preprocessing: Preprocessing
    seed: int

    def least(self, width: int, height: int, *, epoch: int, sample: int) -> tuple[float, float]:
        """The least size at which a photo of `width` × `height` is wanted: so that its cut is large enough."""
        if self.level == "none":
            return Evaluation(preprocessing=self.preprocessing).least(width, height)
        if not (draft := self.preprocessing.draft):
            return width, height
        box = self._draw_box(width, height, self._generator(epoch, sample))
        size = self._cut_size(box)
        return draft * width * size[0] / (box[2] - box[0]), draft * height * size[1] / (box[3] - box[1])

    @property
    def form(self) -> str:
        """What `keep` depends on beside the photo."""
        return f"{self.level}, by torch {self.preprocessing}"

    def least_kept(self, width: int, height: int) -> tuple[float, float]:
        """The least size at which a photo is wanted from which `keep` is made."""
        if self.level == "none":
            return Evaluation(preprocessing=self.preprocessing).least_kept(width, height)
        draft, kept = self.preprocessing.draft, self._kept_size(width, height)
        return (draft * kept[0], draft * kept[1]) if draft else (width, height)

    def keep(self, photo: OpenedPhoto) -> KeptPhoto:
        """What of a photo is enough for every epoch: as few pixels as leave its smallest cut those of the input.

        A cut of it begins and ends at whole kept pixels: at most half of one from where it does without a cache.
        """
        if self.level == "none":
            return Evaluation(preprocessing=self.preprocessing).keep(photo)
        size = self._kept_size(*photo.size)
        pixels = _resize(photo.cut((0.0, 0.0, *photo.size)), size, self.preprocessing.interpolation)
        return KeptPhoto(pixels, (0, 0, *size), photo.size)

    def restore(self, kept: KeptPhoto, *, epoch: int, sample: int) -> Prepared:
        """The input of a photo that was kept, varied for this epoch and sample as it would be from its file."""
        if self.level == "none":
            return Evaluation(preprocessing=self.preprocessing).restore(kept)
        generator = self._generator(epoch, sample)
        box = self._draw_box(*kept.size, generator)
        size = kept.pixels.shape[1], kept.pixels.shape[0]
        across, down = (kept_side / side for kept_side, side in zip(size, kept.size, strict=True))
        found = (box[0] * across, box[1] * down, box[2] * across, box[3] * down)
        left, top, right, bottom = whole_pixels(found, size)
        return self._vary(kept.pixels[top:bottom, left:right].copy(), self._cut_size(box), generator)

    def _kept_size(self, width: int, height: int) -> Size:
        """The least size of a whole photo at which no cut has fewer pixels than it enters the input with."""
        target, area = self.preprocessing, SMALLEST_CUT[self.level] * width * height
        if target.fit == "crop":
            aspect, stretch = target.width / target.height, math.exp(_LOG_ASPECT)
            # The most slender cut of the least area; where none fits, the largest there is.
            cut_width = min(math.sqrt(area * aspect / stretch), width, height * aspect)
            cut_height = min(math.sqrt(area / aspect / stretch), height, width / aspect)
        else:
            cut_width, cut_height = (side * math.sqrt(SMALLEST_CUT[self.level]) for side in (width, height))
        entering = self._cut_size((0.0, 0.0, cut_width, cut_height))
        scale = min(1.0, max(entering[0] / cut_width, entering[1] / cut_height))
        return max(1, math.ceil(scale * width)), max(1, math.ceil(scale * height))

    def __call__(self, photo: OpenedPhoto, *, epoch: int, sample: int) -> Prepared:
        """The input of an upright photo, varied for this epoch and sample."""
        if self.level == "none":
            return Evaluation(preprocessing=self.preprocessing)(photo)
        generator = self._generator(epoch, sample)
        box = self._draw_box(*photo.size, generator)
        return self._vary(photo.cut(box), self._cut_size(box), generator)

    def _vary(self, cut: NDArray[np.uint8], size: Size, generator: np.random.Generator) -> Prepared:
        """The input of a cut (h, w, 3) that enters it at `size`."""
        pixels = _resize(cut, size, self.preprocessing.interpolation)
        height, width = pixels.shape[:2]
        if min(height, width) >= _SMALLEST_SIDE:
            transforms = _compose(self.level, self.flip, self.preprocessing.mean)
            # One stream for all: seeded one by one they would all draw the same numbers.
            transforms.set_random_state(generator, random.Random(int(generator.integers(2**63))))  # noqa: S311 - no secret
            pixels = transforms(image=pixels)["image"]
        left, top = (self.preprocessing.width - width) // 2, (self.preprocessing.height - height) // 2
        return place(pixels, self.preprocessing, left=left, top=top)

    def _generator(self, epoch: int, sample: int) -> np.random.Generator:
        return np.random.default_rng((_DOMAIN, self.seed, epoch, sample))

    def _draw_box(self, width: int, height: int, generator: np.random.Generator) -> Rectangle:
        """The part of a photo that is cut out, in whole pixels; of a large one in those of its reduced forms, too."""
        target = self.preprocessing
        box = draw_box(
            width,
            height,
            aspect=target.width / target.height if target.fit == "crop" else width / height,
            smallest=SMALLEST_CUT[self.level],
            vary_aspect=target.fit == "crop",
            generator=generator,
        )
        size = self._cut_size(box)
        left, right = _widen(box[0], box[2], entering=size[0], limit=width)
        top, bottom = _widen(box[1], box[3], entering=size[1], limit=height)
        return left, top, right, bottom

    def _cut_size(self, box: Rectangle) -> Size:
        """The width and height at which a cut enters the input."""
        target = self.preprocessing
        if target.fit == "pad":
            return pad_size(target, max(1, round(box[2] - box[0])), max(1, round(box[3] - box[1])))
        return target.width, target.height


def draw_box(
    width: int, height: int, *, aspect: float, smallest: float, vary_aspect: bool, generator: np.random.Generator
) -> Rectangle:
    """A random rectangle (left, top, right, bottom) inside a photo, in pixels; if none fits, the largest centred one.

    Its area is at least the share `smallest` of the photo's, its width over height is `aspect`, or with `vary_aspect`
    between 3/4 and 4/3 of that.
    """
    for _ in range(_TRIES):
        area = width * height * generator.uniform(smallest, 1)
        shape = aspect * math.exp(generator.uniform(-_LOG_ASPECT, _LOG_ASPECT)) if vary_aspect else aspect
        cut_width, cut_height = math.sqrt(area * shape), math.sqrt(area / shape)
        if 1 <= cut_width <= width and 1 <= cut_height <= height:
            left, top = generator.uniform(0, width - cut_width), generator.uniform(0, height - cut_height)
            return left, top, min(left + cut_width, width), min(top + cut_height, height)
    cut_width, cut_height = min(width, max(1.0, height * aspect)), min(height, max(1.0, width / aspect))
    left, top = (width - cut_width) / 2, (height - cut_height) / 2
    return left, top, left + cut_width, top + cut_height


def _widen(start: float, end: float, *, entering: int, limit: int) -> tuple[float, float]:
    """Both ends of a cut moved outwards to whole pixels, of a half, a quarter or an eighth where these are enough."""
    step = min(8, 2 ** int(math.log2(max(1.0, (end - start) / entering))))
    return start // step * step, min(math.ceil(end / step) * step, limit)


def _resize(pixels: NDArray[np.uint8], size: Size, interpolation: str) -> NDArray[np.uint8]:
    """Pixels (h, w, 3) at a width and height, antialiased."""
    images = torch.from_numpy(pixels)[None].permute(0, 3, 1, 2)  # (1, 3, h, w), channels last
    resized = torch.nn.functional.interpolate(images, size=size[::-1], mode=interpolation, antialias=True)
    result: NDArray[np.uint8] = resized[0].permute(1, 2, 0).contiguous().numpy()
    return result


@lru_cache(maxsize=8)
def _compose(level: Level, flip: bool, mean: tuple[float, float, float]) -> albumentations.Compose:
    fill = tuple(255 * value for value in mean)
    transforms = [albumentations.HorizontalFlip(p=0.5)] if flip else []
    if level == "strong":
        angle = 15 if flip else 5  # where left and right matter, so may the direction of a slant
        # None of these can empty a picture or fails on a small one.
        operations = [
            albumentations.AutoContrast(p=1),
            albumentations.Equalize(p=1),
            albumentations.Posterize(num_bits=(4, 7), p=1),
            albumentations.Solarize(threshold_range=(0.6, 1.0), p=1),
            albumentations.Sharpen(alpha=(0.1, 0.5), p=1),
            albumentations.GaussianBlur(blur_limit=0, sigma_limit=(0.3, 1.5), p=1),
            albumentations.Affine(rotate=(-angle, angle), shear=(-8, 8), fill=fill, p=1),
            albumentations.Affine(translate_percent=(-0.1, 0.1), fill=fill, p=1),
            albumentations.ToGray(p=1),
        ]
        transforms.append(albumentations.SomeOf(operations, n=2, replace=False, p=0.8))
    if level in ("medium", "strong"):
        jitter = {"brightness": (0.7, 1.3), "contrast": (0.7, 1.3), "saturation": (0.7, 1.3), "hue": (0.0, 0.0)}
        transforms.append(albumentations.ColorJitter(**jitter, p=0.8))
        hole = {"num_holes_range": (1, 1), "hole_height_range": (0.1, 0.45), "hole_width_range": (0.1, 0.45)}
        transforms.append(albumentations.CoarseDropout(**hole, fill=fill, p=0.1))
    return albumentations.Compose(transforms)
