import os
import subprocess
import sys

import pytest

from pcn_cli.errors import ResourceError
from pcn_cli.files.machine import Place, available_cores, keep_freed_memory, read_place

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


def places(monkeypatch: pytest.MonkeyPatch, **values: object) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in values.items():
        monkeypatch.setenv(name, str(value))


def test_a_process_knows_its_place_among_others(monkeypatch: pytest.MonkeyPatch) -> None:
    places(monkeypatch)
    cores = available_cores()
    assert read_place() == Place(0, 1, 0, 1)
    places(monkeypatch, WORLD_SIZE=1)
    assert read_place() == Place(0, 1, 0, 1)
    reached = {"MASTER_ADDR": "here", "MASTER_PORT": 1}
    places(monkeypatch, RANK=5, WORLD_SIZE=8, LOCAL_RANK=1, **reached)
    assert read_place() == Place(5, 8, 1, 1)
    places(monkeypatch, RANK=5, WORLD_SIZE=8, LOCAL_RANK=1, LOCAL_WORLD_SIZE=4, **reached)
    assert available_cores() == max(1, cores // 4)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"WORLD_SIZE": 2}, "RANK="),
        ({"WORLD_SIZE": 2, "RANK": 2, "LOCAL_RANK": 0, "MASTER_ADDR": "a", "MASTER_PORT": 1}, "does not fit together"),
        ({"WORLD_SIZE": 2, "RANK": 1, "LOCAL_RANK": 1}, "MASTER_ADDR and MASTER_PORT is not set"),
        ({"WORLD_SIZE": "two", "RANK": 1, "LOCAL_RANK": 1}, "WORLD_SIZE=two"),
    ],
)
def test_an_environment_that_does_not_fit_together_is_refused(
    values: dict[str, object], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    places(monkeypatch, **values)
    with pytest.raises(ResourceError, match=words) as caught:
        read_place()
    assert "--devices" in caught.value.hint


COUNT_THREADS = """
import sys
from pcn_cli.cli.app import main
sys.argv = ["pcn", "--version"]
assert "numpy" not in sys.modules
try:
    main()
except SystemExit:
    import numpy
    from threadpoolctl import threadpool_info
    print([pool["num_threads"] for pool in threadpool_info() if pool["internal_api"] == "openblas"])
"""


@pytest.mark.skipif(available_cores() < 2, reason="one thread is all there is")
@pytest.mark.parametrize(("settings", "several"), [({}, False), ({"OPENBLAS_NUM_THREADS": "2"}, True)])
def test_the_products_of_numpy_take_one_thread_unless_the_environment_says_otherwise(
    settings: dict[str, str], several: bool
) -> None:
    own = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", COUNT_THREADS], env=own | settings, check=True, capture_output=True, text=True
    )
    version, threads = done.stdout.splitlines()
    assert version.startswith("pcn ")
    if threads == "[]":
        pytest.skip("this NumPy computes with another library")
    assert (threads != "[1]") == several


IMPORT = """
import gc
from pcn_cli.files.machine import importing
with importing():
    during = gc.isenabled()
print(during, gc.isenabled(), gc.get_freeze_count() > 1000)
gc.disable()
with importing():
    pass
print(gc.isenabled())
"""


def test_what_is_imported_is_not_searched_for_cycles() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORT], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["False", "True", "True", "False"]
