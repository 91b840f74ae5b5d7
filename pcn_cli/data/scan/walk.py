"""Every file below a folder, once: hidden ones, special ones and loops of links are told apart, nothing is opened."""

import os
import stat
from collections import deque
from pathlib import Path

from pcn_cli.errors import DataError

EMPTY = "an empty folder"

# What operating systems put beside photos.
_SYSTEM_FILES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "ntuser.dat"})
_SYSTEM_FOLDERS = frozenset({"__macosx", "$recycle.bin", "system volume information", "@eadir", "lost+found"})


def walk_folder(root: Path) -> dict[str, str]:
    """Every file below `root` in the order of its path, with why it cannot be a photo ("" where it may be one).

    Paths are POSIX, below `root`; empty and unreadable folders are there too, with a slash at their end. Links to
    folders are followed once real folders are done, so that a photo keeps its real path; a link to a folder that was
    read already is an entry of its own.

    Raises:
        DataError: `root` is missing, no folder, or may not be read.
    """
    check_folder(root)
    found: dict[str, str] = {}
    seen: set[tuple[int, int] | str] = set()
    waiting, links = deque([("", "")]), deque[tuple[str, str]]()
    while waiting or links:
        is_link = not waiting
        folder, obstacle = (waiting or links).popleft()
        if is_link and _identity(root / folder) in seen:
            found[folder] = "a link to a folder that is read already"
            continue
        seen.add(_identity(root / folder))
        try:
            with os.scandir(root / folder) as scan:
                members = list(scan)
        except OSError as error:
            if not folder:
                raise DataError(f"cannot read the folder {root}: {error.strerror}") from error
            found[f"{folder}/"] = f"the folder cannot be read ({error.strerror})"
            continue
        if folder and not members:
            found[f"{folder}/"] = obstacle or EMPTY
        for member in members:
            path = f"{folder}/{member.name}" if folder else member.name
            if _is_folder(member):
                hidden = member.name.startswith(".") or member.name.lower() in _SYSTEM_FOLDERS
                inner = obstacle or ("in a hidden or system folder" if hidden else "")
                (links if member.is_symlink() else waiting).append((path, inner))
            else:
                found[path] = obstacle or _find_obstacle(member)
    return dict(sorted(found.items()))


def check_folder(root: Path) -> None:
    """Refuse what is no folder of photos; nothing in it is looked at.

    Raises:
        DataError: `root` is missing, no folder, or may not be looked for.
    """
    try:
        if root.is_dir():
            return
        there = root.exists()
    except OSError as error:
        raise DataError(f"cannot read the folder {root}: {error.strerror}") from error
    raise DataError(f"{root} is a file, not a folder" if there else f"no such folder of photos: {root}")


def _is_folder(member: os.DirEntry[str]) -> bool:
    try:
        return member.is_dir()
    except OSError:
        return False


def _find_obstacle(member: os.DirEntry[str]) -> str:
    if member.name.startswith(".") or member.name.lower() in _SYSTEM_FILES:
        return "a hidden or system file"
    try:
        # A link that leads nowhere is left to the opener, which says so.
        if member.is_file() or (member.is_symlink() and not Path(member.path).exists()):
            return ""
        mode = member.stat().st_mode
    except OSError:  # such as a link to itself
        return ""
    kinds = {stat.S_IFIFO: "a pipe (FIFO)", stat.S_IFSOCK: "a socket"}
    return f"{kinds.get(stat.S_IFMT(mode), 'a device')}, not a file"


def _identity(folder: Path) -> tuple[int, int] | str:
    try:
        facts = folder.stat()
    except OSError:
        return str(folder)
    # File systems without inode numbers say 0.
    return (facts.st_dev, facts.st_ino) if facts.st_ino else os.path.realpath(folder)
