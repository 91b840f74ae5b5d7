"""Image files that a person named (files, folders and patterns), and photos found by their content."""

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from pcn_cli.data.scan.content import HEAD_BYTES, is_camera_raw, promises_image, tell_format
from pcn_cli.data.scan.walk import walk_folder
from pcn_cli.errors import DataError
from pcn_cli.files.atomic import sha256_of
from pcn_cli.records.model import ReplayPhoto


def refuse_missing(sources: Sequence[str]) -> None:
    """Refuse what `gather_images` finds nothing in, as far as that is known without opening a folder.

    Raises:
        DataError: nothing was named, or the only source does not exist or matches nothing.
    """
    if not sources:
        raise DataError("no images were named", "name photos, folders or patterns")
    if len(sources) == 1 and not _find(sources[0]):
        problem = "matches no file" if glob.has_magic(sources[0]) else "does not exist"
        hint = "pcn takes files and folders, not addresses" if "://" in sources[0] else ""
        raise DataError(f"{sources[0]} {problem}", hint)


def gather_images(sources: Sequence[str]) -> list[Path]:
    """Every image file that `sources` name, in their order; what is named twice comes twice.

    A file is taken as it is, a folder gives the images below it in the order of their paths, a pattern (`*`, `?`,
    `[…]`, `**`) what it matches in sorted order. Among several sources one that is missing is kept as it was written:
    whoever opens it says why it cannot be read, and the others are not lost.

    Raises:
        DataError: nothing was named, the only source does not exist or matches nothing, or no folder holds an image.
    """
    refuse_missing(sources)
    found: list[Path] = []
    for source in sources:
        matches = _find(source)
        # A pattern such as ** matches a folder and what is in it.
        found += dict.fromkeys(path for match in matches for path in _open_up(Path(match)))
        found += [] if matches else [Path(source)]
    if not found:
        named = sources[0] if len(sources) == 1 else f"none of the {len(sources):,} folders"
        raise DataError(f"{named} holds {'no' if len(sources) == 1 else 'any'} images", "name photos or their folder")
    return found


def _find(source: str) -> list[str]:
    """What a source names: itself, or what it matches; what exists is no pattern, as a file called "photo[1].jpg"."""
    return [source] if os.path.lexists(source) else sorted(glob.glob(source, recursive=True))  # noqa: PTH207 - keeps text


def _open_up(path: Path) -> Iterator[Path]:
    if not os.path.isdir(path):  # noqa: PTH112 - unlike pathlib it never raises
        yield path
        return
    for file, obstacle in walk_folder(path).items():
        if not obstacle and not is_camera_raw(file) and _may_be_image(path / file):
            yield path / file


def _may_be_image(path: Path) -> bool:
    """Whether the name or the content says image; what the name promises is reported later when it cannot be opened."""
    if promises_image(path.name):
        return True
    try:
        with path.open("rb") as file:
            return tell_format(file.read(HEAD_BYTES)) is not None
    except OSError:
        return False


def find_by_hash(root: Path, photos: Sequence[ReplayPhoto]) -> dict[str, str]:
    """The path below `root` of each photo that is there, by its hash; its old place is looked at first.

    Only files of the right size are hashed.

    Raises:
        DataError: `root` is no folder that can be read.
    """
    found: dict[str, str] = {}
    missing = {photo.sha256: photo.bytes for photo in photos}

    def places() -> Iterator[str]:
        yield from (photo.file for photo in photos)
        if missing:
            yield from (file for file, obstacle in walk_folder(root).items() if not obstacle)

    for file in places():
        path = root / file
        if path.is_file() and path.stat().st_size in missing.values():
            digest = sha256_of(path)
            if missing.pop(digest, None) is not None:
                found[digest] = file
    return found
