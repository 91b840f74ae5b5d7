"""What a scan found: photos, files that could not be read, files that were passed over."""

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from pcn_cli.records.labels import split_labels

Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class Photo:
    """One readable photo.

    `file` is the POSIX path below the photos folder, `label` one class, or several joined (records/labels.py), `width`
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

    `root` is the absolute photos folder, `layout` how labels were found; with `multi_label` a photo's label may join
    several classes, or none. `near_duplicates` are sets of files that show
    one picture in different bytes (resized, encoded again, cut a little, brightened), with their exact copies. `alike`
    counts photos that could not be told from more than a quarter of all: they are left out of `near_duplicates`.
    """

    root: str
    layout: Literal["class folders", "split folders", "table"]
    photos: tuple[Photo, ...]
    unreadable: tuple[Unreadable, ...] = ()
    ignored: tuple[Ignored, ...] = ()
    near_duplicates: tuple[tuple[str, ...], ...] = ()
    alike: int = 0
    multi_label: bool = False

    @property
    def classes(self) -> dict[str, int]:
        """Number of photos of each class, by name in sorted order."""
        counts = Counter(name for photo in self.photos for name in self.labels_of(photo))
        return {name: counts[name] for name in sorted(counts)}

    def labels_of(self, photo: Photo) -> tuple[str, ...]:
        """The classes of a photo."""
        return split_labels(photo.label, multi_label=self.multi_label)


@dataclass(frozen=True, kw_only=True)
class SplitRow:
    """The part one photo belongs to; `sha256` lets a later command see that the photo is still the same.

    With `multi_label` the label joins all of the photo's classes, of which there may be none.
    """

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


@dataclass(frozen=True, kw_only=True)
class Tie:
    """Two photos that belong together: equal bytes ("exact"), one picture ("near") or one group of the user's.

    Of "alike" ones only a network says so.
    """

    kind: Literal["exact", "near", "group", "alike"]
    file: str
    label: str
    part: Part
    other: str
    other_label: str
    other_part: Part
