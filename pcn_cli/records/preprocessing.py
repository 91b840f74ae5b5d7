"""How a picture becomes the network's input, and where each input pixel came from."""

from dataclasses import dataclass
from typing import Literal

Fit = Literal["crop", "pad", "squash"]


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """Exact evaluation preprocessing; it travels with the model.

    `crop`: the shorter side is resized to int(size / crop_pct), then a centred size × size square is cut out.
    `pad`: the longer side is resized to size, the rest is filled with the mean colour. `squash`: both sides become
    size. `height` and `width` are the network's input in pixels.

    Raises:
        ValueError: a side, crop_pct or std is out of range.
    """

    height: int
    width: int
    fit: Fit = "crop"
    crop_pct: float = 0.875
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 1 or not 0 < self.crop_pct <= 1 or min(self.std) <= 0:
            raise ValueError(f"no such preprocessing is possible: {self}")


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where the network's input lies on the original upright picture.

    `box` is (left, top, right, bottom) in pixels of the original, as continuous coordinates (pixel i covers [i, i+1]);
    it reaches outside the picture where the input was padded. Input x maps to left + x * (right - left) / input_width.
    """

    width: int
    height: int
    input_width: int
    input_height: int
    box: tuple[float, float, float, float]
