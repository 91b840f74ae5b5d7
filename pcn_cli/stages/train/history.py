"""history.csv: one row per epoch, of the probe and of tuning."""

from collections.abc import Callable, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any, get_type_hints

from pcn_cli.files.atomic import read_csv, write_csv
from pcn_cli.records.run import EpochRow
from pcn_cli.stages.callback import Callback

_KINDS: dict[str, Callable[[str], Any]] = get_type_hints(EpochRow)


def write_history(path: Path, rows: Sequence[EpochRow]) -> None:
    """Put `rows` at `path`."""
    write_csv(path, tuple(_KINDS), [astuple(row) for row in rows])


def read_history(path: Path) -> tuple[EpochRow, ...]:
    """The rows that `write_history` was given; none where nothing was trained."""
    if not path.is_file():
        return ()
    return tuple(EpochRow(**{name: _KINDS[name](cell) for name, cell in row.items()}) for row in read_csv(path))


class History:
    """history.csv while it grows: rows of before a stop stay, an epoch that is done again replaces its row."""

    def __init__(self, path: Path, callback: Callback, *, epochs: int) -> None:
        self._path, self._callback, self._epochs = path, callback, epochs
        self._rows = {(row.phase, row.epoch): row for row in read_history(path)}

    def add(self, row: EpochRow) -> None:
        """Keep `row` on the disk and tell of it."""
        self.complete((row,))
        self._callback.on_epoch(row, self._epochs)

    def complete(self, rows: Sequence[EpochRow]) -> None:
        """Put `rows` on the disk; a stop may have come between a checkpoint and its row."""
        self._rows.update({(row.phase, row.epoch): row for row in rows})
        write_history(self._path, [self._rows[key] for key in sorted(self._rows)])  # "probe" comes before "tune"
