"""How a folder tree is to be read: folders around everything are stepped through, then come parts, then classes.

    dataset/train/oak/1.jpg      a wrapper, a part, a class
    seg_train/seg_train/oak/1.jpg      a part, a wrapper inside it, a class
    oak/train/1.jpg      a class, a part
    oak/images/1.jpg      a class, a wrapper in each
    oak/oak/1.jpg      the same, as unpacking an archive for each class leaves it

Only names are looked at; what speaks against such a reading stands in doubts.py.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile

from pcn_cli.data.scan.part_names import read_parts
from pcn_cli.records.photos import Part

Folders = tuple[str, ...]  # on the way to a photo, from the outside

_CONTAINER = re.compile(r"(?:jpe?g|png)?(?:images?|imgs?|photos?|pictures?|pics?|data|datasets?)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """How the folders on the way to a photo are to be read.

    `wrapper` are folders around all photos. `parts` says what the folder names at `level` below it mean, where they
    name parts, and `inner` how many folders inside each of these only wrap its classes. `last` is the name of a folder
    that wraps the photos of every class.
    """

    wrapper: Folders = ()
    level: int = 0
    parts: Mapping[str, Part] = field(default_factory=dict)
    inner: Mapping[str, int] = field(default_factory=dict)
    last: str = ""
    doubled: bool = False

    def read(self, folders: Folders) -> tuple[Part | None, Folders]:
        """The part that the folders of a photo name, and those that name its class, which may be none at all."""
        depth = len(self.wrapper)
        below = folders[depth:] if folders[:depth] == self.wrapper else ()
        if not self.parts:
            return None, self._unwrap(below)
        name = below[self.level] if len(below) > self.level else ""
        classes = below[: self.level] + below[self.level + 1 :]
        return self.parts.get(name), self._unwrap(classes[self.inner.get(name, 0) :])

    def _unwrap(self, classes: Folders) -> Folders:
        wraps = classes[-1:] == classes[-2:-1] if self.doubled else classes[-1:] == (self.last,)
        return classes[:-1] if wraps else classes


def read_shape(paths: Collection[Folders]) -> Shape:
    """How to read the folders on the way to each photo."""
    paths = {path for path in paths if path}  # photos beside the folders say nothing of them
    shape = _read_parts(paths)
    classes = {found for _, found in map(shape.read, paths) if found}
    last = {path[-1] for path in classes}
    if classes and all(path[-1:] == path[-2:-1] for path in classes):
        return replace(shape, doubled=True)
    wraps = len(last) == 1 and all(len(path) > 1 for path in classes) and all(map(is_container, last))
    return replace(shape, last=last.pop()) if wraps else shape


def _read_parts(paths: Collection[Folders]) -> Shape:
    """The wrapper around everything, and where the parts are."""
    wrapper = _shared(paths)
    below = [path[len(wrapper) :] for path in paths]
    tops = {path[0] for path in below}
    parts = read_parts(tops)
    # Beside a part and the training there may be folders that are none; beside one alone it may be a class.
    if parts and (len(parts) == len(tops) or ("train" in parts.values() and len(set(parts.values())) > 1)):
        return Shape(wrapper=wrapper, parts=parts, inner=_wrappers_inside(below, parts))
    for level in range(1, min(map(len, below), default=0)):
        names = {path[level] for path in below}
        parts = read_parts(names)
        if len(parts) == len(names):
            return Shape(wrapper=wrapper, level=level, parts=parts)
    if all(len(path) == 1 and is_container(path[0]) for path in below):
        return Shape(wrapper=(*wrapper, *tops) if len(tops) == 1 else wrapper)
    return Shape(wrapper=wrapper)


def is_container(name: str) -> bool:
    """Whether a folder of that name says nothing of what is in it, such as images or data."""
    return _CONTAINER.fullmatch(name.strip().replace("_", "").replace("-", "")) is not None


def _shared(paths: Collection[Folders]) -> Folders:
    """The folders that all paths have in common, up to the first that names a part; the last one names the class."""
    common = [names[0] for names in takewhile(lambda names: len(set(names)) == 1, zip(*paths, strict=False))]
    first = next((n for n, name in enumerate(common) if read_parts([name])), len(common))
    return tuple(common[: min([first, *(len(path) - 1 for path in paths)])])


def _wrappers_inside(paths: Sequence[Folders], parts: Mapping[str, Part]) -> dict[str, int]:
    """How many folders inside each part folder only wrap its classes."""
    inside: defaultdict[str, set[Folders]] = defaultdict(set)
    for top, *rest in paths:
        if top in parts and rest:
            inside[top].add(tuple(rest))
    # What stands beside others in one part is a class there, and so it is in a part that has nothing else.
    beside = {path[0] for found in inside.values() if len({path[0] for path in found}) > 1 for path in found}
    steps = {}
    for top, found in inside.items():
        steps[top] = 0
        while found and len(names := {path[0] for path in found}) == 1 and not names & beside:
            if not all(is_container(name) or read_parts([name]) for name in names):
                break
            steps[top] += 1
            found = {path[1:] for path in found if len(path) > 1}
        inside[top] = found
    # Other names are stepped through only where every part has a wrapper: one part may well hold a single class.
    common = min((len(_shared(found)) for found in inside.values() if found), default=0)
    return {top: step + common for top, step in steps.items()}
