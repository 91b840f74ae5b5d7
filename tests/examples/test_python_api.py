import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "python_api.py"


@pytest.mark.slow
def test_the_whole_way_in_python_ends_with_a_report(photo_folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [sys.executable, str(SCRIPT), str(photo_folder), "--model", "nano", "--size", "64", "--output", str(run)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path).stdout.splitlines()
    assert lines[0].startswith("right on ")
    assert lines[-2] == "3 classes, a map of 4 × 4 patches"
    assert lines[-1].startswith(f"the report is {run / 'report'}")
    assert (run / "report" / "index.html").is_file()
