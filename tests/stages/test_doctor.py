"""Doctor answers also where something is missing: that is when it is asked."""

import subprocess
import sys

from pcn_cli.stages import doctor

WITHOUT_TORCH = """
import importlib.metadata, sys
sys.modules["torch"] = None
real = importlib.metadata.version
def version(name):
    if name == "torch":
        raise importlib.metadata.PackageNotFoundError(name)
    return real(name)
importlib.metadata.version = version
from pcn_cli.stages.doctor import examine
for check in examine():
    print(check.name, check.ok, check.found, sep="|")
"""


def test_everything_that_is_required_is_looked_at() -> None:
    checks = {check.name: check for check in doctor.examine()}
    assert {"python", "torch", "timm", "device", "memory", "disk"} <= set(checks)
    assert checks["torch"].ok
    assert checks["device"].ok
    assert "MiB" in checks["weights cache"].found
    assert "photos takes 0 MiB" in checks["photo cache"].found
    assert "tokens takes 0 MiB" in checks["token cache"].found
    assert "pictures takes 0 MiB" in checks["picture cache"].found
    assert "openvino takes 0 MiB" in checks["openvino cache"].found


def test_a_missing_torch_is_a_row_and_no_crash() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = dict(line.split("|", 1) for line in done.stdout.splitlines())
    assert rows["torch"].startswith("False|not installed (needs >=")
    assert rows["device"].startswith("False|unknown: ")
    assert rows["timm"].startswith("True|")
