"""A polite way to stop: the first signal is a request that the work polls, the second stops at once."""

import os
import signal
from types import FrameType
from typing import Self

from pcn_cli.errors import StoppedError

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")
_SIGNALS = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))


class StopRequest:
    """While the block runs, SIGINT, SIGTERM, SIGHUP and SIGUSR1 ask for a stop instead of causing one.

    SIGHUP, which a terminal sends as it closes, stays ignored where nohup said so.

    Work polls `requested` where it can stop well, or calls `check`. A second signal raises StoppedError wherever the
    program is; a third takes the system's way. Outside the main thread no signal arrives and only `request` asks for
    a stop.
    """

    def __init__(self) -> None:
        self.signal_number = 0
        self._before: dict[int, object] = {}
        self._process = os.getpid()

    @property
    def requested(self) -> bool:
        """Whether somebody asked for a stop."""
        return self.signal_number != 0

    def request(self, signal_number: int = signal.SIGINT) -> None:
        """Ask for a stop as a signal would."""
        self.signal_number = int(signal_number)

    def check(self, message: str = "stopped") -> None:
        """Raise StoppedError where a stop was asked for."""
        if self.requested:
            raise StoppedError(message, signal_number=self.signal_number)

    def __enter__(self) -> Self:
        self._process = os.getpid()
        try:
            for number in _SIGNALS:
                if number == signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._receive)
        except ValueError:  # not the main thread: Python delivers no signals here
            self._before.clear()
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _receive(self, number: int, _: FrameType | None) -> None:
        if os.getpid() != self._process:  # a forked loader worker: its parent decides
            return
        if self.requested:
            self._restore()
            raise StoppedError(
                "stopped at once, without saving the work since the last checkpoint", signal_number=number
            )
        self.request(number)

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # as signal.signal gave it
        self._before.clear()
