"""The first signal asks, the second stops, and afterwards everything is as before."""

import os
import signal
import threading

import pytest

from pcn_cli.errors import StoppedError
from pcn_cli.training.stop import StopRequest


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"])
def test_the_first_signal_asks_and_the_second_stops_at_once(name: str) -> None:
    number = getattr(signal, name)
    before = signal.getsignal(number)
    with StopRequest() as stop:
        assert not stop.requested
        os.kill(os.getpid(), number)
        assert stop.requested
        with pytest.raises(StoppedError) as asked:
            stop.check("stopped while scanning")
        assert (asked.value.exit_code, asked.value.message) == (128 + number, "stopped while scanning")
        with pytest.raises(StoppedError, match="stopped at once"):
            os.kill(os.getpid(), number)
        assert signal.getsignal(number) is before  # a third takes the system's way
    assert signal.getsignal(number) is before


def test_nothing_happens_without_a_signal() -> None:
    with StopRequest() as stop:
        stop.check()


def test_in_another_thread_only_a_request_stops() -> None:
    seen = []

    def work() -> None:
        with StopRequest() as stop:
            seen.append(stop.requested)
            stop.request()
            seen.append(stop.requested)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False, True]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGUSR1"])
def test_what_was_ignored_stays_ignored(name: str) -> None:
    """A training under nohup outlives its terminal."""
    number = getattr(signal, name)
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with StopRequest() as stop:
            os.kill(os.getpid(), number)
            assert not stop.requested
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)
