"""What a scan found: photos, files that could not be read, files that were passed over."""

from collections import Counter
from dataclasses import dataclass
from typing import Literal

Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class Photo:
    """One readable photo.

    `file` is the POSIX path below the photos folder, `width` and `height` are of the upright picture in pixels,
    `sha256` is of the file's bytes, `split` and `group` are the user's own where a folder or a table names them.
    """

    file: str
    label: str
    width: int
    height: int
    sha256: str
    split: Part | None = None
    group: str | None = None


@dataclass(frozen=True, kw_only=True)
class Unreadable:
    """A file that should be a photo and is not."""

    file: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Ignored:
    """A file or folder that was never taken for a photo."""

    file: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Scan:
    """Everything a scan found; each file stands in exactly one of the three lists, in the order of its path.

    `root` is the absolute photos folder, `layout` how labels were found.
    """

    root: str
    layout: Literal["class folders", "split folders", "table"]
    photos: tuple[Photo, ...]
    unreadable: tuple[Unreadable, ...] = ()
    ignored: tuple[Ignored, ...] = ()

    @property
    def classes(self) -> dict[str, int]:
        """Number of photos of each class, by name in sorted order."""
        counts = Counter(photo.label for photo in self.photos)
        return {name: counts[name] for name in sorted(counts)}


@dataclass(frozen=True, kw_only=True)
class SplitRow:
    """The part one photo belongs to; `sha256` lets a later command see that the photo is still the same."""

    file: str
    label: str
    split: Part
    sha256: str
    group: str = ""
