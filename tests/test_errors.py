import pickle
import signal

import pytest

from pcn_cli import errors
from pcn_cli.errors import PcnError, StoppedError

EXIT_CODES = {
    "RecipeError": 2,
    "DataError": 3,
    "ModelError": 4,
    "DownloadError": 5,
    "ResourceError": 6,
    "DivergedError": 7,
    "RunError": 8,
}


def test_the_family_is_the_table_of_exit_codes() -> None:
    family = {kind.__name__: kind.exit_code for kind in PcnError.__subclasses__()}
    assert family == EXIT_CODES


@pytest.mark.parametrize("name", EXIT_CODES)
def test_an_error_holds_what_was_found_and_what_helps(name: str) -> None:
    error = getattr(errors, name)("found 3 of 4", "type this")
    assert (str(error), error.message, error.hint) == ("found 3 of 4", "found 3 of 4", "type this")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_signal_decides_the_exit_code_of_a_stop(number: int, code: int) -> None:
    assert StoppedError("saved", signal_number=number).exit_code == code


@pytest.mark.parametrize("name", [*EXIT_CODES, "StoppedError"])
def test_an_error_survives_the_way_between_processes(name: str) -> None:
    error = getattr(errors, name)("found", "try")
    error.exit_code = error.exit_code
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.message, again.hint, again.exit_code) == (type(error), "found", "try", error.exit_code)
