import io
import subprocess
import sys
from contextlib import suppress

import psutil
import pytest

from pcn_cli.files.child import hear, hear_bytes, say

_PARENT = """
import threading
from pcn_cli.files import child
child.PROGRAM = "import time; time.sleep(100)"
process = child.start_child("anything", new_session=True)
threading.Thread(target=process.wait, daemon=True).start()
print(process.pid)
"""


def test_what_a_thread_waits_for_does_not_outlive_the_program() -> None:
    ended = subprocess.run([sys.executable, "-P", "-c", _PARENT], capture_output=True, text=True, check=True)
    with suppress(psutil.NoSuchProcess):
        child = psutil.Process(int(ended.stdout))
        psutil.wait_procs([child], timeout=5)
        assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_what_is_said_is_heard_and_what_breaks_off_is_told() -> None:
    pipe = io.BytesIO()
    say(pipe, {"größe": [1, 2]})
    pipe.write(b"pixels")
    say(pipe, None)
    pipe.write(b'{"half":')
    pipe.seek(0)
    assert hear(pipe) == {"größe": [1, 2]}
    assert hear_bytes(pipe, 6) == b"pixels"
    assert hear(pipe) is None
    with pytest.raises(BrokenPipeError):
        hear(pipe)
    with pytest.raises(BrokenPipeError):
        hear_bytes(pipe, 1)
