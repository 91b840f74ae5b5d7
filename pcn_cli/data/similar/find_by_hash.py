"""Photos found by their content, wherever they lie in a folder and whatever they are called."""

from collections.abc import Iterable
from pathlib import Path

from pcn_cli.data.scan.walk import walk_folder
from pcn_cli.files.hashing import sha256_of
from pcn_cli.records.model import ReplayPhoto


def find_by_hash(root: Path, photos: Iterable[ReplayPhoto]) -> dict[str, str]:
    """The path below `root` of each photo that is there, by its hash; its old place is looked at first.

    Only files of the right size are hashed.

    Raises:
        DataError: `root` is no folder that can be read.
    """
    wanted = list(photos)
    found = {photo.sha256: photo.file for photo in wanted if _is(root / photo.file, photo.sha256, photo.bytes)}
    missing = {photo.sha256: photo.bytes for photo in wanted if photo.sha256 not in found}
    if not missing:
        return found
    for entry in walk_folder(root):
        path = root / entry.file
        if entry.obstacle or not path.is_file() or path.stat().st_size not in missing.values():
            continue
        digest = sha256_of(path)
        if digest in missing:
            found[digest] = entry.file
            del missing[digest]
    return found


def _is(path: Path, sha256: str, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size and sha256_of(path) == sha256
