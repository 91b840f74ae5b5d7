import subprocess
import sys
from contextlib import suppress

import psutil

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
