import os
import subprocess
import sys

import pytest

from pcn_cli.files.machine import available_cores, keep_freed_memory

# Takes and frees 16 MB twenty times; what comes from the system anew is seen as page faults, 4,096 a time.
TAKE_AND_FREE = """
import resource
from pcn_cli.files.machine import keep_freed_memory
kept = {call}
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
bytearray(16 << 20)
before = faults()
for _ in range(20):
    bytearray(16 << 20)
print(kept, faults() - before)
"""
IS_GLIBC = "CS_GNU_LIBC_VERSION" in getattr(os, "confstr_names", {}) and sys.platform == "linux"


def take_and_free(call: str, **settings: str) -> tuple[bool, int]:
    """Whether memory is kept after `call`, and the page faults of the twenty blocks."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    program = TAKE_AND_FREE.format(call=call)
    done = subprocess.run(
        [sys.executable, "-c", program], env=own | settings, check=True, capture_output=True, text=True
    )
    kept, faults = done.stdout.split()
    return kept == "True", int(faults)


def test_there_is_at_least_one_core() -> None:
    assert 1 <= available_cores() <= (os.cpu_count() or 1)


@pytest.mark.skipif(not IS_GLIBC, reason="only glibc is told")
def test_freed_memory_is_kept() -> None:
    kept, faults = take_and_free("keep_freed_memory()")
    assert kept
    plain_kept, plain_faults = take_and_free("False")
    assert not plain_kept
    assert faults < plain_faults / 10


@pytest.mark.parametrize(
    "settings", [{"MALLOC_ARENA_MAX": "2"}, {"GLIBC_TUNABLES": "glibc.malloc.trim_threshold=131072"}]
)
def test_settings_of_the_environment_stand(settings: dict[str, str]) -> None:
    assert not take_and_free("keep_freed_memory()", **settings)[0]


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    assert not keep_freed_memory()


def test_a_library_without_such_settings_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())
    assert not keep_freed_memory()
