"""Files of others, read within bounds: a pipe or a device has no end, and a small text can nest deeper than we can."""

import json
import os
import stat
from pathlib import Path
from typing import Any

MANY = 2**30  # bytes; of what pcn itself wrote


def read_bytes(path: Path, *, most: int) -> bytes:
    """The content of a regular file of at most `most` bytes.

    Raises:
        ValueError: it is no regular file, or larger. OSError: it is not there or not to be opened.
    """
    # A pipe that nobody writes to would be waited for already when it is opened.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with open(path, "rb", opener=lambda name, _: os.open(name, flags)) as file:
        facts = os.fstat(file.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise ValueError("it is no regular file")
        if facts.st_size > most:
            raise ValueError(f"it holds {facts.st_size:,} bytes, at most {most:,} are read")
        return file.read()


def read_json(path: Path, *, most: int = MANY) -> Any:  # noqa: ANN401 - whatever the file holds
    """The value that a file of JSON holds; refused as `read_bytes` and `parse_json` refuse."""
    return parse_json(read_bytes(path, most=most))


def parse_json(content: bytes) -> Any:  # noqa: ANN401 - whatever it holds
    """The value that JSON is; a ValueError where it is none."""
    try:
        return json.loads(content, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
