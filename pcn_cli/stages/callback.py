"""What a stage tells whoever watches; the command line draws it, a Python caller may ignore it."""

import logging
from collections.abc import Callable, Sequence

from pcn_cli.records.metrics import Finding
from pcn_cli.records.run import EpochRow

logger = logging.getLogger(__name__)

OnEpoch = Callable[[EpochRow, int], None]
"""What hears of an epoch that is done, and of how many."""


class Callback:
    """Hears everything and does nothing; override what you want to see."""

    def on_plan(self, stages: Sequence[str]) -> None:
        """The titles of the stages that are to come, in their order; a stage of another title is a part of one."""

    def on_stage(self, title: str) -> None:
        """A stage begins."""

    def on_progress(self, title: str, done: int, total: int) -> None:
        """`done` of `total` photos, or bytes, of the present work."""

    def on_step(self, step: int, total: int, loss: float, lr: float, images_per_second: float) -> None:
        """An optimizer step is done."""

    def on_epoch(self, row: EpochRow, epochs: int) -> None:
        """One of `epochs` passes is done."""

    def on_choice(self, key: str, value: object, reason: str) -> None:
        """A value was chosen automatically."""

    def on_finding(self, finding: Finding) -> None:
        """Something a person should know before they trust the numbers."""

    def on_note(self, text: str) -> None:
        """Something a person should know and need not act on."""


class LoggingCallback(Callback):
    """Writes what stays true into the log, hands everything on to another callback, and stops where that was asked for.

    Every stage tells its progress photo by photo, so `poll` is called there. Functions in `epoch_listeners` hear of
    each epoch as well.
    """

    def __init__(self, inner: Callback, *, poll: Callable[[], None]) -> None:
        self._inner, self._poll = inner, poll
        self.epoch_listeners: list[OnEpoch] = []

    def on_plan(self, stages: Sequence[str]) -> None:
        self._inner.on_plan(stages)

    def on_stage(self, title: str) -> None:
        logger.info("%s", title)
        self._inner.on_stage(title)

    def on_progress(self, title: str, done: int, total: int) -> None:
        self._poll()
        self._inner.on_progress(title, done, total)

    def on_step(self, step: int, total: int, loss: float, lr: float, images_per_second: float) -> None:
        self._inner.on_step(step, total, loss, lr, images_per_second)

    def on_epoch(self, row: EpochRow, epochs: int) -> None:
        logger.info("%s %d/%d: validation loss %.4f", row.phase, row.epoch, epochs, row.val_loss)
        self._inner.on_epoch(row, epochs)
        for listener in self.epoch_listeners:
            listener(row, epochs)

    def on_choice(self, key: str, value: object, reason: str) -> None:
        logger.info("%s: %s (%s)", key, value, reason)
        self._inner.on_choice(key, value, reason)

    def on_finding(self, finding: Finding) -> None:
        logger.warning("%s: %s", finding.title, finding.evidence)
        self._inner.on_finding(finding)

    def on_note(self, text: str) -> None:
        logger.info("%s", text)
        self._inner.on_note(text)
