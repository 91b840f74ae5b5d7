"""history.csv while it grows: one row per epoch, of the probe and of tuning."""

from collections.abc import Sequence

from pcn_cli.records.run import EpochRow
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.store import HISTORY
from pcn_cli.stages.callback import Callback


class History:
    """history.csv while it grows: rows of before a stop stay, an epoch that is done again replaces its row."""

    def __init__(self, run: RunDir, callback: Callback, *, epochs: int) -> None:
        self._run, self._callback, self._epochs = run, callback, epochs
        self._rows = {(row.phase, row.epoch): row for row in HISTORY.read(run)}

    def add(self, row: EpochRow) -> None:
        """Keep `row` on the disk and tell of it."""
        self.complete((row,))
        self._callback.on_epoch(row, self._epochs)

    def complete(self, rows: Sequence[EpochRow]) -> None:
        """Put `rows` on the disk; a stop may have come between a checkpoint and its row."""
        self._rows.update({(row.phase, row.epoch): row for row in rows})
        HISTORY.write(self._run, [self._rows[key] for key in sorted(self._rows)])  # "probe" comes before "tune"
