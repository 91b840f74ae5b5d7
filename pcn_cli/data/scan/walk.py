"""Every file below a folder, once: hidden ones, special ones and loops of links are told apart, nothing is opened."""

import os
import stat
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from pcn_cli.data.scan.content import is_hidden_file, is_hidden_folder
from pcn_cli.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A file found by a walk: its POSIX path below the root, and why it cannot be a photo ("" where it may be one)."""

    file: str
    obstacle: str = ""


def walk_folder(root: Path) -> list[Entry]:
    """Every file below `root` in the order of its path; empty and unreadable folders are entries that end in a slash.

    Links to folders are followed once real folders are done, so that a photo keeps its real path; a link to a folder
    that was read already is an entry of its own.

    Raises:
        DataError: `root` is missing, no folder, or may not be read.
    """
    if not root.is_dir():
        raise DataError(f"no such folder of photos: {root}" if not root.exists() else f"{root} is a file, not a folder")
    entries: list[Entry] = []
    links: deque[tuple[str, str]] = deque()
    seen = {_identity(root)}
    waiting: deque[tuple[str, str]] = deque([("", "")])
    while waiting or links:
        if waiting:
            folder, obstacle = waiting.popleft()
        else:
            folder, obstacle = links.popleft()
            if _identity(root / folder) in seen:
                entries.append(Entry(file=folder, obstacle="a link to a folder that is read already"))
                continue
        seen.add(_identity(root / folder))
        _read_folder(root, folder, obstacle, entries, waiting, links)
    return sorted(entries, key=lambda entry: entry.file)


def _read_folder(
    root: Path,
    folder: str,
    obstacle: str,
    entries: list[Entry],
    waiting: deque[tuple[str, str]],
    links: deque[tuple[str, str]],
) -> None:
    """Sort the members of one folder into files (`entries`), folders (`waiting`) and linked folders (`links`)."""
    try:
        with os.scandir(root / folder) as scan:
            members = list(scan)
    except OSError as error:
        if not folder:
            raise DataError(f"cannot read the folder {root}: {error.strerror}") from error
        entries.append(Entry(file=f"{folder}/", obstacle=f"the folder cannot be read ({error.strerror})"))
        return
    if not members and folder:
        entries.append(Entry(file=f"{folder}/", obstacle=obstacle or "an empty folder"))
    for member in members:
        path = f"{folder}/{member.name}" if folder else member.name
        if _is_folder(member):
            inner = obstacle or ("in a hidden or system folder" if is_hidden_folder(member.name) else "")
            (links if member.is_symlink() else waiting).append((path, inner))
        else:
            entries.append(Entry(file=path, obstacle=obstacle or _find_obstacle(member)))


def _is_folder(member: os.DirEntry[str]) -> bool:
    try:
        return member.is_dir()
    except OSError:
        return False


def _find_obstacle(member: os.DirEntry[str]) -> str:
    if is_hidden_file(member.name):
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
