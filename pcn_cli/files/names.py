"""Names for files and folders made from any text."""

import os
import unicodedata
from collections.abc import Collection, Iterable
from pathlib import Path

from pcn_cli.errors import ResourceError

_NEVER_IN_NAMES = frozenset('/\\:*?"<>|')
# Devices on Windows, in any case and with any ending; the digits may be raised ones.
_PORTS = (f"{port}{number}" for port in ("com", "lpt") for number in "0123456789¹²³")
_DEVICES = frozenset({"con", "prn", "aux", "nul", "conin$", "conout$", *_PORTS})


def safe_name(text: str) -> str:
    """`text` as the name of one file or folder on every system: no separator, control character or device."""
    kept = "".join("_" if c in _NEVER_IN_NAMES or unicodedata.category(c)[0] == "C" else c for c in text)
    name = kept.strip(" .")[:100].rstrip(" .") or "_"
    stem = name.partition(".")[0].rstrip()
    return f"_{name}" if stem.lower() in _DEVICES else name


def free_path(folder: Path, name: str, taken: set[Path], *, replace: bool = False) -> Path:
    """A path in `folder` named after `name` that is not in `taken`, to which it is added.

    Unless `replace`, nothing is at that path on the disk either.
    """
    stem, suffix = Path(name).stem, Path(name).suffix
    path, number = folder / name, 2
    while path in taken or (not replace and os.path.lexists(path)):
        path, number = folder / f"{stem}-{number}{suffix}", number + 1
    taken.add(path)
    return path


def holding_folders(photos: Iterable[Path]) -> frozenset[Path]:
    """The folders that hold these photos, and what links among them point to, resolved."""
    there = [photo for photo in photos if os.path.lexists(photo)]
    folders = {photo.parent for photo in there} | {Path(os.path.realpath(photo)).parent for photo in there}
    return frozenset(Path(os.path.realpath(folder)) for folder in folders)


def refuse_inside(
    target: Path, folders: Iterable[Path], holders: Collection[Path] = (), *, option: str = "--output"
) -> None:
    """Refuse to write to `target` where it lies in one of `folders` or is one of `holders`, which are resolved.

    `option` is what names another target.

    Raises:
        ResourceError: it does or is; the user's photos are never written to.
    """
    place, *real = (Path(os.path.realpath(path)) for path in (target, *folders))
    inside = [folder for folder in (place, *place.parents) if folder in real] + [place] * (place in holders)
    if inside:
        raise ResourceError(
            f"{target} lies inside the photos folder {inside[0]}, which is never written to",
            f"name a folder outside of it with {option} FOLDER",
        )
