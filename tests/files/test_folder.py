import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from filelock import FileLock

from pcn_cli.errors import ResourceError, RunError
from pcn_cli.files.folder import hold_folder, is_held, replacing_folder


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_the_folder_takes_the_place_of_the_older_one_in_one_step(tmp_path):
    target = tmp_path / "report"
    target.mkdir()
    (target / "old.txt").write_text("old")
    with replacing_folder(target) as put:
        put("a/b.txt", b"new")
        assert names(target) == ["old.txt"]
    assert names(tmp_path) == ["report/a/b.txt"]


def test_a_block_that_fails_leaves_the_older_folder_and_nothing_else(tmp_path):
    target = tmp_path / "report"
    target.mkdir()
    (target / "old.txt").write_text("old")

    def fail():
        with replacing_folder(target) as put:
            put("b.txt", b"new")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert names(tmp_path) == ["report/old.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_a_place_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="cannot write"), replacing_folder(tmp_path / "file" / "report"):
        pass


HOLDER = """
import sys
from pathlib import Path
from pcn_cli.files.folder import hold_folder
with hold_folder(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path):
    """Another process that holds tmp_path/run until its input ends."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "run")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_process_is_told_who_holds_the_folder(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    expected = f"{tmp_path / 'run'} is in use by process {holder.pid} on {socket.gethostname()}"
    with pytest.raises(RunError) as caught, hold_folder(tmp_path / "run", elsewhere="choose another --output"):
        pytest.fail("two writers")
    assert caught.value.message == expected
    assert caught.value.exit_code == 8
    assert "--output" in caught.value.hint


def test_a_killed_holder_frees_the_folder(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    with hold_folder(tmp_path / "run"):
        assert str(os.getpid()) in (tmp_path / "run" / ".lock-owner").read_text()


def test_the_folder_is_free_after_the_block_even_if_it_failed(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), hold_folder(tmp_path / "run"):
        raise ZeroDivisionError
    with hold_folder(tmp_path / "run"):
        pass
    assert not (tmp_path / "run" / ".lock-owner").exists()


def test_the_same_process_cannot_hold_it_twice(tmp_path: Path) -> None:
    with (
        hold_folder(tmp_path / "run"),
        pytest.raises(RunError, match=f"process {os.getpid()}"),
        hold_folder(tmp_path / "run"),
    ):
        pytest.fail("two writers")


def test_a_place_that_cannot_be_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="cannot write"), hold_folder(tmp_path / "file"):
        pytest.fail("held a file")


def test_whether_somebody_holds_a_folder(tmp_path: Path) -> None:
    assert not is_held(tmp_path / "run")
    with hold_folder(tmp_path / "run"):
        assert is_held(tmp_path / "run")
        assert is_held(tmp_path / "run")
    assert not is_held(tmp_path / "run")
    with hold_folder(tmp_path / "run"):
        pass


def test_who_looks_never_keeps_a_writer_out(tmp_path: Path) -> None:
    """A look takes the lock for a moment; a writer waits that long."""
    lock = FileLock(tmp_path / ".lock", thread_local=False)
    lock.acquire()
    looking = threading.Timer(0.05, lock.release)
    looking.start()
    with hold_folder(tmp_path):
        assert is_held(tmp_path)
    looking.join()
