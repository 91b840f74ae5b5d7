"""Where a fit keeps its states: checkpoints on disk, or the newest one in memory where no folder is given."""

from collections.abc import Callable
from pathlib import Path

from pcn_cli.training.checkpoint import TrainState, clear_checkpoints, load_checkpoint, save_checkpoint


class Keeper:
    """Keeps states, and says when the next one is due.

    Args:
        minutes: longest time between two states.
    """

    def __init__(
        self, folder: Path | None, *, minutes: float, clock: Callable[[], float], on_note: Callable[[str], None]
    ) -> None:
        self.folder = folder
        self._minutes, self._clock, self._on_note = minutes, clock, on_note
        self._kept_at = clock()
        self._in_memory: TrainState | None = None

    @property
    def is_due(self) -> bool:
        """Whether the last state is too old."""
        return self._clock() - self._kept_at >= self._minutes * 60

    def keep(self, state: TrainState) -> None:
        """Keep `state`; errors as of `save_checkpoint`."""
        if self.folder is None:
            self._in_memory = state
        else:
            save_checkpoint(self.folder, state)
        self._kept_at = self._clock()

    def newest(self) -> TrainState | None:
        """The state kept last that is whole; errors as of `load_checkpoint`."""
        if self.folder is None:
            return self._in_memory
        return load_checkpoint(self.folder, on_warning=self._on_note)

    def forget(self) -> None:
        """Drop the states of earlier fits."""
        if self.folder is not None:
            clear_checkpoints(self.folder)
