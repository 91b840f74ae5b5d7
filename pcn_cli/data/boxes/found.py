"""A box as a file has it, and the numbers and names that it is made of, whatever wrote the file."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pcn_cli.data.scan.listed_files import last_name
from pcn_cli.errors import shown
from pcn_cli.records.photos import Box

BEYOND = 2  # pixels: counting from 1, or an edge behind the last pixel
AT_ONCE = 1000  # boxes that are told together, of those that are only counted
EDGES = ("xmin", "ymin", "xmax", "ymax")


class FoundBox(NamedTuple):  # which is made in a fifth of a dataclass's time: there may be a million
    """A box as a file has it; `number` counts those of its photo in the file, from 1.

    `edges` are left, top, right and bottom, the latter two behind the last pixel: in pixels, or in `shares` of the
    photo's sides. `size` is the photo's width and height, where the file tells them; `category` and `confidence` are
    a detector's, and no label.
    """

    file: str
    edges: tuple[float, float, float, float]
    label: str = ""
    size: tuple[int, int] | None = None
    shares: bool = False
    category: str = ""
    confidence: float | None = None
    number: int = 0

    def place(self, size: tuple[int, int]) -> Box:
        """The box in whole pixels of a photo of that width and height; what reaches a little beyond it is cut off.

        Raises:
            ValueError: it does not lie in the photo, or the photo is not of the size that the file tells.
        """
        if self.size is not None and self.size != size:
            told, found = ("×".join(map(str, one)) for one in (self.size, size))
            raise ValueError(f"{self.file}: its boxes are on {told} pixels, and the photo has {found}")
        scale = (*size, *size) if self.shares else (1, 1, 1, 1)
        edges = [round(edge * by) for edge, by in zip(self.edges, scale, strict=True)]
        inclusive = [edges[0], edges[1], edges[2] - 1, edges[3] - 1]
        for place, (value, side) in enumerate(zip(inclusive, (*size, *size), strict=True)):
            inside = min(max(value, 0), side - 1)
            inclusive[place] = inside if abs(value - inside) <= BEYOND else value
        sides = dict(zip(("width", "height"), size, strict=True))
        box = Box(file=self.file, label=self.label, **dict(zip(EDGES, inclusive, strict=True)), **sides)
        box.check()
        return box

    def check(self) -> None:
        """Raise a ValueError where the file does not tell the photo's size, or the box does not lie in the photo."""
        if self.size is None:
            raise ValueError(f"{self.file}: the file does not tell the photo's width and height")
        left, top, right, bottom = self.edges
        inside = not self.shares and left >= 0 and top >= 0 and right <= self.size[0] and bottom <= self.size[1]
        if not inside or right - left < BEYOND or bottom - top < BEYOND:  # rounding may leave no pixel of it
            self.place(self.size)


class PassedOver(NamedTuple):
    """Boxes of photos that were not asked for: the photo of each that is sure, and how many are `unsure`."""

    files: Sequence[str] = ()
    unsure: int = 0
    category: str = ""


Found = FoundBox | PassedOver | str
"""A box, others that are only counted, or what is wrong with one."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """Which boxes are asked for: of photos called by one of `names` (None: of all), and `least` as sure.

    Where they are to be `whole`, each tells the size of its photo and lies in it.
    """

    names: Collection[str] | None
    least: float = 0.0
    whole: bool = False

    def asks(self, file: str) -> bool:
        """Whether boxes of the photo are asked for."""
        return self.names is None or last_name(file) in self.names

    def is_sure(self, confidence: float | None) -> bool:
        """Whether a box is sure enough; one without a confidence is."""
        return confidence is None or confidence >= self.least


def read_corners(box: Any, file: str) -> tuple[float, float, float, float]:  # noqa: ANN401 - whatever JSON holds
    """Left, top, right and bottom of [x, y, width, height]."""
    if not isinstance(box, list) or len(box) != 4:
        raise ValueError(f"{file}: the box is {shown(box)}, which is not [x, y, width, height]")
    x, y, width, height = box
    floats = type(x) is float and type(y) is float and type(width) is float and type(height) is float
    if not floats or not math.isfinite(x + y + width + height):
        x, y, width, height = (_read_side(value, box, file) for value in box)
    if width <= 0 or height <= 0:
        raise ValueError(f"{file}: the box {shown(box)} has no pixels")
    return x, y, x + width, y + height


def _read_side(value: Any, box: Any, file: str) -> float:  # noqa: ANN401 - whatever JSON holds
    try:
        return read_number(value)
    except ValueError as error:
        raise ValueError(f"{file}: the box {shown(box)} {error}") from error


def read_number(value: Any) -> float:  # noqa: ANN401 - whatever the file holds
    """The finite number that a value is; a ValueError says what it holds."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"holds {shown(value)}, which is no number")
    return number


def read_share(value: Any, file: str, name: str) -> float:  # noqa: ANN401 - whatever the file holds
    """A number from 0 to 1."""
    if type(value) is float and 0 <= value <= 1:
        return value
    try:
        number = read_number(value)
    except ValueError as error:
        raise ValueError(f"{file}: {name} {error}") from error
    if not 0 <= number <= 1:
        raise ValueError(f"{file}: {name} is {shown(value)}, which is not between 0 and 1")
    return number


def read_file_name(value: Any, name: str) -> str:  # noqa: ANN401 - whatever JSON holds
    """The path of a photo, with slashes."""
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ValueError(f"an image has the {name} {shown(value)}")
    return value.replace("\\", "/")
