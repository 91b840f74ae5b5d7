"""Which file a table means by what it writes: a path from the table or the photos folder, a bare name, or an id.

A path counts from where the table lies, as it always did. Otherwise the name must fit one photo alone: below some
folder, without its ending, or in another case; what was assumed is said.
"""

import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pcn_cli.data.scan.content import promises_image


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """The file that a table means, or why it means none; `how` it was found where it was not by its path."""

    file: str
    how: str = ""
    problem: str = ""


class ListedFiles:
    """Finds what `table` lists among the `entries` of a walk through `root`."""

    def __init__(self, root: Path, table: Path, entries: Mapping[str, str]) -> None:
        self._root, self._table, self._entries = root, table, entries
        self._from_root = dict[str, str]()  # the way to each folder
        self._beside, self._inside = os.fspath(table.parent.absolute()), os.path.join(root.absolute(), "")  # noqa: PTH118

    def knows(self, written: str) -> bool:
        """Whether the text names a photo."""
        return bool(written) and bool(self._look_up(written)[1])

    def find(self, written: Sequence[str]) -> dict[str, Place]:
        """The place of each file that the table writes."""
        places: dict[str, Place] = {}
        named: dict[str, tuple[str, Sequence[str]]] = {}
        for one in written:
            if one not in places:
                how, files = self._look_up(one)
                places[one] = self._place(one, how, files)
                if how:
                    named[one] = how, files
        # Where names fit several photos (1.jpg in train and in test), one folder must hold all that are looked for.
        bases = ({_base(file, one) for file in files} for one, (_, files) in named.items())
        holders = Counter(base for own in bases for base in own)
        whole = [base for base, count in holders.items() if count == len(named)]
        if len(whole) == 1:
            for one, (how, files) in named.items():
                places[one] = self._place(one, how, [file for file in files if _base(file, one) == whole[0]])
        return places

    def explain(self, places: Mapping[str, Place]) -> list[str]:
        """A line for each way in which files were found that are not where the table says."""
        lines = []
        for how, count in Counter(place.how for place in places.values() if place.how).items():
            written, file = next((one, place.file) for one, place in places.items() if place.how == how)
            lines.append(f"{self._table.name}: {count:,} of {len(places):,} photos found {how}: {written} is {file}")
        return lines

    def _place(self, written: str, how: str, files: Sequence[str]) -> Place:
        if len(files) == 1:
            return Place(file=files[0], how=how)
        path = self._from_table(written)[0]
        if files:
            first = " or ".join(sorted(files)[:2])
            return Place(file=path, problem=f"listed, and may be any of {len(files)} files, such as {first}")
        if path.startswith(("../", "/")):
            return Place(file=path, problem=f"listed, but outside the photos folder {self._root}")
        return Place(file=path)

    def _look_up(self, written: str) -> tuple[str, Sequence[str]]:
        """How the files were found that a text may mean ("" where the table says it), and these files."""
        if last_name(written) not in self.last_names:
            return "", ()  # most rows of a table of other photos, which may be many
        if file := self._at(self._from_table(written)):
            return "", [file]
        below = [os.path.normpath(name) for name in _with_slashes(written)]
        if file := self._at(below):
            return "by their path in the photos folder", [file]
        for how, files in self._by_name(_key(below[-1])):
            exact = [file for file in files if _ends_with(file, below[-1])]
            if files:
                return (how, exact) if exact else (f"{how} in another case", files)
        return "", ()

    def _from_table(self, written: str) -> list[str]:
        """The paths below the photos folder that a text may mean which counts from the table's folder."""
        return [self._from_photos(name).replace(os.sep, "/") for name in _with_slashes(written)]

    def _from_photos(self, name: str) -> str:
        """The path, from the photos folder, of one from the table's; as text, for a table may have a million rows."""
        path = os.path.normpath(os.path.join(self._beside, name))  # noqa: PTH118
        if path.startswith(self._inside):
            return path.removeprefix(self._inside)
        folder, last = os.path.split(path)
        if folder not in self._from_root:  # of one folder there may be a million files
            self._from_root[folder] = os.path.relpath(folder, self._root)
        return last if (way := self._from_root[folder]) == os.curdir else os.path.join(way, last)  # noqa: PTH118

    def _at(self, names: Sequence[str]) -> str | None:
        """The file at one of these paths, in either Unicode form."""
        composed = (self._composed.get(unicodedata.normalize("NFC", name)) for name in names)
        return next(filter(None, [*(name for name in names if name in self._entries), *composed]), None)

    def _by_name(self, key: str) -> Iterator[tuple[str, Sequence[str]]]:
        """The ways to read a text that is no path to a photo, each with the photos that it may mean."""
        yield "by their name in a folder", self._by_end.get(key, ())
        yield "without their ending", self._by_stem.get(key, ())
        before, folder, below = key.rpartition(f"{_key(self._root.name)}/")
        if folder and (not before or before.endswith("/")):
            yield "from the photos folder on", [file for file in self._by_end.get(below, ()) if _key(file) == below]

    @cached_property
    def last_names(self) -> frozenset[str]:
        """What `last_name` gives of a text that may mean a file in any way: its name, with its ending or without."""
        names = [last_name(file) for file in self._entries]
        return _NO_NAMES.union(names, (name.rpartition(".")[0] for name in names))

    @cached_property
    def _composed(self) -> dict[str, str]:
        return {unicodedata.normalize("NFC", file): file for file in self._entries}

    @cached_property
    def _by_end(self) -> dict[str, list[str]]:
        photos = (file for file, obstacle in self._entries.items() if not obstacle and promises_image(file))
        return _index((file, file) for file in photos)

    @cached_property
    def _by_stem(self) -> dict[str, list[str]]:
        photos = {file for files in self._by_end.values() for file in files}
        return _index((file.rpartition(".")[0], file) for file in sorted(photos))


def _index(spelled: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """The files by every end of their spelling, from a folder on: a/b.jpg by a/b.jpg and by b.jpg."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for text, file in spelled:
        parts = _key(text).split("/")
        for start in range(len(parts)):
            found["/".join(parts[start:])].append(file)
    return found


_NO_NAMES = frozenset(("", ".", ".."))  # at the end of a path that is written in a longer way than it need be


def last_name(text: str) -> str:
    """What a path ends with, as names are compared."""
    return _key(text.replace("\\", "/").rpartition("/")[2])


def _key(text: str) -> str:
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def _ends_with(file: str, written: str) -> bool:
    """Whether a file's path, with its ending or without, ends with what is written, in the same case."""
    path, end = (unicodedata.normalize("NFC", text) for text in (file, written))
    return path.endswith(end) or path.rpartition(".")[0].endswith(end) or end.endswith(path)


def _with_slashes(written: str) -> list[str]:
    """The text as it is and with slashes in the place of backslashes, if that differs."""
    return list(dict.fromkeys((written, written.replace("\\", "/"))))


def _base(file: str, written: str) -> str:
    """The folder that a file was found below: its path without as many names as are written."""
    names = _with_slashes(written)[-1].strip("/").count("/") + 1
    return "/".join(file.split("/")[:-names])
