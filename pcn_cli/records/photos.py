"""What a scan found: photos with their labels, parts and boxes, other files, and what the photos are like.

Several labels of a photo are one text: the names with the separator between them, in one order; "" for none.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from pcn_cli.records.codec import to_plain
from pcn_cli.records.metrics import Finding

Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = ("train", "val", "test")
Fit = Literal["crop", "pad", "squash"]
Layout = Literal["class folders", "split folders", "file names", "table"]
SEPARATOR = ";"
SEVERAL = "labels"  # the column of a table that gives a photo several labels


def join_labels(names: Iterable[str]) -> str:
    """The names as one text, each once, sorted: equal sets give equal texts.

    Raises:
        ValueError: a name holds the separator or is empty.
    """
    own = sorted(set(names))
    wrong = next((name for name in own if not name or SEPARATOR in name), None)
    if wrong is not None:
        raise ValueError(f"{wrong!r} cannot be one of several labels: it is empty or holds {SEPARATOR!r}")
    return SEPARATOR.join(own)


def natural_order(name: str) -> tuple[tuple[int | str, ...], str]:
    """What names are sorted by so that 2 comes before 10, and class2 before class10."""
    pieces = re.split(r"([0-9]{1,18})", name)
    return tuple(int(piece) if n % 2 else piece for n, piece in enumerate(pieces)), name


def split_labels(text: str, *, multi_label: bool) -> tuple[str, ...]:
    """The names in `text`: one, or as many as `join_labels` was given where photos have several labels."""
    if not multi_label:
        return (text,)
    return tuple(text.split(SEPARATOR)) if text else ()


@dataclass(frozen=True, kw_only=True)
class Photo:
    """One readable photo.

    `file` is the POSIX path below the photos folder, `label` one class, or several joined by `join_labels`, `width`
    and `height` are of the upright picture in pixels, `sha256` is of the file's bytes, `mode` is Pillow's word for the
    file's own pixels (such as RGB, L or CMYK), `split` and `group` are the user's own where a folder, a table or a
    pattern names them.
    """

    file: str
    label: str
    width: int
    height: int
    sha256: str
    mode: str = ""
    split: Part | None = None
    group: str | None = None


TRUNCATED = "truncated"
"""How the reason begins why a photo cannot be read that may be used as far as it goes (`load_truncated`)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SkippedFile:
    """A file that should be a photo and cannot be read, or a file or folder that was never taken for one, and why."""

    file: str
    reason: str

    @property
    def is_truncated(self) -> bool:
        """Whether it may be used as far as it goes, where that is asked for."""
        return self.reason.startswith(TRUNCATED)


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """Photos without a label, or of no part, in one folder: how many, and why; an empty folder holds none."""

    folder: str
    photos: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class Scan:
    """Everything a scan found; each file stands in exactly one of the three lists, in the order of its path.

    `root` is the absolute photos folder, `layout` how labels were found. `near_duplicates` are sets of files that show
    one picture in different bytes (resized, encoded again, cut a little, brightened), with their exact copies. `alike`
    counts photos that look like more than a quarter of all and are as good as equal to none: they are in no such set.
    `left_out` counts what is among the ignored and looks like a photo; `assumptions` say how folders or a table were
    read where they could mean something else, `doubts` what a person should look at.
    """

    root: str
    layout: Layout
    photos: tuple[Photo, ...]
    unreadable: tuple[SkippedFile, ...] = ()
    ignored: tuple[SkippedFile, ...] = ()
    near_duplicates: tuple[tuple[str, ...], ...] = ()
    alike: int = 0
    multi_label: bool = False
    left_out: tuple[LeftOut, ...] = ()
    assumptions: tuple[str, ...] = ()
    doubts: tuple[Finding, ...] = ()

    @property
    def classes(self) -> dict[str, int]:
        """Number of photos of each class, by name in the order that people count in."""
        counts = Counter(name for photo in self.photos for name in self.labels_of(photo))
        return {name: counts[name] for name in sorted(counts, key=natural_order)}

    @property
    def own_parts(self) -> frozenset[Part]:
        """The parts that folders or a table name: nobody else divides these photos."""
        return frozenset(photo.split for photo in self.photos if photo.split)

    def plain(self) -> dict[str, Any]:
        """The scan as scan.json and `pcn inspect --json` have it, with the number of photos of each class."""
        return {"classes": self.classes, **to_plain(self)}

    def labels_of(self, photo: Photo) -> tuple[str, ...]:
        """The classes of a photo."""
        return split_labels(photo.label, multi_label=self.multi_label)


@dataclass(frozen=True, kw_only=True)
class SplitRow:
    """The part one photo belongs to; `sha256` lets a later command see that the photo is still the same."""

    file: str
    label: str
    split: Part
    sha256: str
    group: str = ""
    multi_label: bool = False

    @property
    def labels(self) -> tuple[str, ...]:
        """The photo's classes."""
        return split_labels(self.label, multi_label=self.multi_label)


TieKind = Literal["exact", "near", "group", "alike"]
TIES: dict[str, str] = {"exact": "the same file", "near": "the same picture", "group": "of one group"}
"""How photos belong together, in words, the surest first."""


@dataclass(frozen=True, kw_only=True)
class Tie:
    """Two photos that belong together, and how: one of `TIES`, or "alike", which only a network says."""

    kind: TieKind
    file: str
    label: str
    part: Part
    other: str
    other_label: str
    other_part: Part

    @classmethod
    def between(cls, kind: TieKind, row: SplitRow, other: SplitRow) -> "Tie":
        """The tie of two photos by their rows in the split."""
        return cls(
            kind=kind,
            file=row.file,
            label=row.label,
            part=row.split,
            other=other.file,
            other_label=other.label,
            other_part=other.split,
        )


@dataclass(frozen=True, kw_only=True)
class Box:
    """The box around one object, in pixels of the upright photo, its edges included; a photo may have several."""

    file: str
    label: str
    xmin: int
    ymin: int
    xmax: int
    ymax: int
    width: int
    height: int

    def check(self) -> None:
        """Raise a ValueError where the box does not lie in the photo."""
        if not (0 <= self.xmin <= self.xmax < self.width and 0 <= self.ymin <= self.ymax < self.height):
            place = f"{self.xmin},{self.ymin} – {self.xmax},{self.ymax}"
            raise ValueError(f"{self.file}: the box {place} is not in the photo")


@dataclass(frozen=True, kw_only=True)
class Spread:
    """The smallest, the middle and the largest of many values."""

    least: float
    median: float
    most: float


@dataclass(frozen=True, kw_only=True)
class Health:
    """What a folder's photos are like.

    `widths` and `heights` are in pixels, `aspects` width over height; `modes` counts Pillow's modes of the files;
    `exact_duplicates` are sets of files with equal bytes; `imbalance` is the largest class over the smallest;
    `small_classes` have too few photos; `against_flipping` are words of names that a mirrored photo would belie; `fit`
    is recommended for the reason that stands beside it.
    """

    widths: Spread
    heights: Spread
    aspects: Spread
    modes: dict[str, int]
    exact_duplicates: tuple[tuple[str, ...], ...]
    imbalance: float
    small_classes: tuple[str, ...]
    against_flipping: tuple[str, ...]
    fit: Fit
    fit_reason: str
