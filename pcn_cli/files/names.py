"""Names for files and folders made from any text."""

import unicodedata
from pathlib import Path

from pcn_cli.errors import ResourceError

_NEVER_IN_NAMES = frozenset('/\\:*?"<>|')


def safe_name(text: str) -> str:
    """`text` as the name of one file or folder on every system: no separators, no control characters, not empty."""
    kept = "".join("_" if c in _NEVER_IN_NAMES or unicodedata.category(c)[0] == "C" else c for c in text)
    return kept.strip(" .")[:100] or "_"


def free_path(folder: Path, name: str, taken: set[Path]) -> Path:
    """A path in `folder` named after `name` that is not in `taken`, to which it is added."""
    stem, suffix = Path(name).stem, Path(name).suffix
    path, number = folder / name, 2
    while path in taken:
        path, number = folder / f"{stem}-{number}{suffix}", number + 1
    taken.add(path)
    return path


def refuse_inside(target: Path, photos: Path) -> None:
    """Nothing, if `target` lies outside `photos`.

    Raises:
        ResourceError: it lies inside; the user's photos are never written to.
    """
    if target.resolve().is_relative_to(photos.resolve()):
        raise ResourceError(
            f"{target} lies inside the photos folder {photos}, which is never written to", "name a folder outside of it"
        )
