"""history.csv: one row per epoch, of the probe and of tuning."""

from collections.abc import Callable, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any, get_type_hints

from pcn_cli.files.atomic import read_csv, write_csv
from pcn_cli.records.training import EpochRow

_KINDS: dict[str, Callable[[str], Any]] = get_type_hints(EpochRow)


def write_history(path: Path, rows: Sequence[EpochRow]) -> None:
    """Put `rows` at `path`."""
    write_csv(path, tuple(_KINDS), [astuple(row) for row in rows])


def read_history(path: Path) -> tuple[EpochRow, ...]:
    """The rows that `write_history` was given; none where nothing was trained."""
    if not path.is_file():
        return ()
    return tuple(EpochRow(**{name: _KINDS[name](cell) for name, cell in row.items()}) for row in read_csv(path))
