"""Files that are there whole or not at all: temporary file in the same folder, fsync, rename, fsync of the folder.

Without the two fsyncs, which take as long as drawing a picture, only a power cut can leave a file that is not whole.
"""

import csv
import errno
import hashlib
import io
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

from pcn_cli.errors import ResourceError


def write_bytes(path: Path, content: bytes, *, elsewhere: str = "") -> None:
    """Put `content` at `path`, replacing what was there in one step; `elsewhere` as of `explain_refusal`."""
    with replacing(path, elsewhere=elsewhere) as part:
        part.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Put `text` at `path` as UTF-8."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:  # noqa: ANN401 - whatever JSON can hold
    """Put `value` at `path` as JSON in UTF-8.

    Raises:
        ValueError: a number is not finite; JSON has no word for it.
    """
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    # A file name's undecodable bytes stand in the text as lone surrogates; their escape is JSON's own.
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Put a table at `path`; cells that a spreadsheet would run as a formula are disarmed."""
    text = "".join(csv_line(cells) for cells in (header, *rows))
    # File names may hold bytes that are no text: they go out as they came in.
    write_bytes(path, text.encode("utf-8", "surrogateescape"))


def csv_line(cells: Sequence[Any]) -> str:
    """One row of a table with its line end; cells that a spreadsheet would run as a formula are disarmed."""
    line = io.StringIO(newline="")
    # csv quotes a lone carriage return only where line ends hold one; unquoted, readers would take it for a line end.
    csv.writer(line, lineterminator="\r\n").writerow([disarm_cell(cell) for cell in cells])
    return line.getvalue().removesuffix("\r\n") + "\n"


def read_csv(path: Path) -> list[dict[str, str]]:
    """The rows of a table written by `write_csv`, with the cells as they were given; empty lines are passed over.

    Raises:
        ValueError: a row has more or fewer cells than the header; the message names its line.
    """
    return list(iterate_csv(path))


def iterate_csv(path: Path) -> Iterator[dict[str, str]]:
    """What `read_csv` gives, row by row."""
    rows = iterate_rows(path)
    header = next(rows, [])
    return (dict(zip(header, row, strict=True)) for row in rows)


def iterate_rows(path: Path) -> Iterator[list[str]]:
    """The header of a table written by `write_csv` and its rows, as of `read_csv`."""
    # Spreadsheets put a byte order mark in front when they save.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        rows = csv.reader(file)
        header = next(rows, [])
        yield [rearm_cell(cell) for cell in header]
        for row in filter(None, rows):
            if len(row) != len(header):
                raise ValueError(f"{path}, line {rows.line_num}: expected {len(header)} cells, found {len(row)}")
            yield [rearm_cell(cell) for cell in row] if "'" in "".join(row) else row  # few have one, of a million


def disarm_cell(cell: Any) -> Any:  # noqa: ANN401 - a cell may be text or a number
    """`cell` with an apostrophe before a character that makes spreadsheets see a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in _FORMULA_STARTS else cell


def rearm_cell(cell: str) -> str:
    """The text that `disarm_cell` was given."""
    return cell[1:] if cell[:1] == "'" and cell[1:2] in _FORMULA_STARTS else cell


# The apostrophe itself is among them, so that every cell comes back as it was.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "'")


def sha256_of(path: Path) -> str:
    """The SHA-256 of a regular file's content, as 64 hexadecimal digits; any other is an OSError, and not opened."""
    if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_with(path: Path, write: Callable[[BinaryIO], object], *, durable: bool = True) -> None:
    """Put at `path` what `write` makes, a library's function that saves into an open file.

    It is made in memory: Pillow, numpy and others tell of a full disk each in a way of its own.
    What is not `durable` is not waited for until the disk holds it: for the many that can be made again.
    """
    content = io.BytesIO()
    write(content)
    with replacing(path, durable=durable) as part:
        part.write_bytes(content.getbuffer())


@contextmanager
def replacing(path: Path, *, durable: bool = True, elsewhere: str = "") -> Iterator[Path]:
    """A temporary path beside `path`, moved there when the block ends well and removed when it does not.

    What is not `durable` is not waited for until the disk holds it; `elsewhere` as of `explain_refusal`.

    Raises:
        ResourceError: disk full, read-only or no permission.
    """
    part = path.with_name(f".{uuid4().hex[:12]}.part{path.suffix}")
    try:
        with explaining_refusal(path, elsewhere=elsewhere):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield part
            if durable:
                sync(part)
            part.replace(path)
            if durable:
                sync(path.parent)
    finally:
        with suppress(OSError):  # the first error is the one to tell
            part.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until the disk holds a file, or the names in a folder; for folders Windows and some disks cannot, nor need.

    A file may be read-only where the system allows that (Windows does not).
    """
    windows, is_folder = os.name == "nt", path.is_dir()
    if windows and is_folder:
        return
    descriptor = os.open(path, os.O_RDWR if windows else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not is_folder or error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def check_free_space(folder: Path, needed: int, *, what: str, hint: str) -> None:
    """Check that the disk of `folder` can take `needed` bytes; `what` says of whom, as in "the tokens need".

    Raises:
        ResourceError: it has less free.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ResourceError(f"{what} {needed / 1e6:.0f} MB and the disk of {folder} has {free / 1e6:.0f} MB free", hint)


def check_place(folder: Path, *, elsewhere: str = "") -> None:
    """Check, before any work is done, that `folder` is one or can be made; `elsewhere` as of `explain_refusal`.

    Raises:
        ResourceError: a file stands in its way, or nothing may be written there.
    """
    with explaining_refusal(folder, elsewhere=elsewhere):
        place = folder.absolute()
        first = next(one for one in (place, *place.parents) if one.exists())
        if not first.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if not os.access(first, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


@contextmanager
def explaining_refusal(path: Path, *, elsewhere: str = "") -> Iterator[None]:
    """A context in which the operating system's refusal to write `path` is told in words, as of `explain_refusal`.

    Raises:
        ResourceError: disk full, read-only, no permission or another refusal.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:  # a library's own complaint, such as Pillow's of a mode it cannot save
            raise
        raise explain_refusal(error, path, elsewhere=elsewhere) from error


def explain_refusal(error: OSError, path: Path, *, elsewhere: str = "", doing: str = "write") -> ResourceError:
    """What the operating system's refusal of `path` means, in words, and what helps.

    `elsewhere` is the hint where another place would help, such as the option that names one.
    """
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        room = ""
        with suppress(OSError):  # the system may not say
            room = f" ({shutil.disk_usage(path.parent).free / 1e6:,.1f} MB free)"
        message = f"the disk is full: cannot {doing} {path}{room}"
        return ResourceError(message, "free some space, then run the same command again")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return ResourceError(f"not allowed to {doing} {path}", elsewhere or f"give yourself the right to {doing} there")
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return ResourceError(f"cannot {doing} {path}: too many files are open", "raise the limit: ulimit -n 4096")
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        files = [one for one in (path, *path.parents) if one.exists() and not one.is_dir()]
        if files:
            message = f"cannot {doing} {path}: {files[0]} is a file, not a folder"
            return ResourceError(message, elsewhere or f"move the file {files[0]} away")
    message = f"cannot {doing} {path}: {error.strerror or error}"
    return ResourceError(message, elsewhere or "see whether the disk is still there, then run the same command again")
