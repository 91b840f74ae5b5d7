import os

from pcn_cli.files.machine import available_cores


def test_there_is_at_least_one_core() -> None:
    assert 1 <= available_cores() <= (os.cpu_count() or 1)
