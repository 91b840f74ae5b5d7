"""The image files that a person named: files, folders and patterns, in the order given."""

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from pcn_cli.data.content import HEAD_BYTES, is_camera_raw, promises_image, tell_format
from pcn_cli.data.walk import walk_folder
from pcn_cli.errors import DataError


def gather_images(sources: Sequence[str]) -> list[Path]:
    """Every image file that `sources` name, in their order, none twice.

    A file is taken as it is, a folder gives the images below it in the order of their paths, a pattern (`*`, `?`,
    `[…]`, `**`) what it matches in sorted order.

    Raises:
        DataError: a source does not exist, or a pattern matches nothing.
    """
    found: dict[str, Path] = {}
    for source in sources:
        for path in _expand(source):
            found.setdefault(os.path.abspath(path), path)  # noqa: PTH100 - compares names, follows no link
    return list(found.values())


def _expand(source: str) -> Iterator[Path]:
    # A file may be called "photo[1].jpg": what exists is never a pattern.
    if os.path.lexists(source):
        yield from _open_up(Path(source))
        return
    matches = sorted(glob.glob(source, recursive=True)) if glob.has_magic(source) else []  # noqa: PTH207 - keeps text
    if not matches:
        problem = "matches no file" if glob.has_magic(source) else "does not exist"
        hint = "pcn takes files and folders, not addresses" if "://" in source else ""
        raise DataError(f"{source} {problem}", hint)
    for match in matches:
        yield from _open_up(Path(match))


def _open_up(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    for entry in walk_folder(path):
        if not entry.obstacle and not is_camera_raw(entry.file) and _may_be_image(path / entry.file):
            yield path / entry.file


def _may_be_image(path: Path) -> bool:
    """Whether the name or the content says image; what the name promises is reported later when it cannot be opened."""
    if promises_image(path.name):
        return True
    try:
        with path.open("rb") as file:
            return tell_format(file.read(HEAD_BYTES)) is not None
    except OSError:
        return False
