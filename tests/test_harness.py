"""The harness at small counts; at full counts it is run by hand, with its figures in tests/benchmarks/RESULTS.md."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

HARNESS = Path(__file__).parent / "harness"
SCRIPTS = [*HARNESS.glob("*.py"), *(HARNESS.parent / "benchmarks").glob("*.py")]


@pytest.mark.skipif(sys.platform == "win32", reason="it forks")
@pytest.mark.parametrize(
    "words",
    [
        ("signals.py", "--trials", "2"),
        ("kills.py", "--runs", "1", "--kills", "1", "--others", "0"),
        ("disk.py", "--trials", "2"),
    ],
    ids=lambda words: words[0],
)
def test_nothing_is_lost(words: tuple[str, ...]) -> None:
    result = subprocess.run([sys.executable, *words], cwd=HARNESS, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert " 0 problems" in result.stdout or " 0 lost" in result.stdout


def test_every_protection_that_the_harness_removes_is_still_there() -> None:
    """A harness that finds nothing to remove would only be noticed where it is run at full counts."""
    sys.path.insert(0, str(HARNESS))
    try:
        from protections import PROTECTIONS
    finally:
        sys.path.remove(str(HARNESS))
    package = HARNESS.parents[1] / "pcn_cli"
    counts = {one.name: (package / one.file).read_text(encoding="utf-8").count(one.old) for one in PROTECTIONS}
    assert len(counts) > 20
    assert {name: count for name, count in counts.items() if count != 1} == {}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_what_a_script_imports_of_the_package_is_there(script: Path) -> None:
    """Inside functions too: a benchmark that a renaming broke would only be noticed where it is run."""
    imports = [node for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))) if type(node) is ast.ImportFrom]
    own = [(node.module, alias.name) for node in imports for alias in node.names if "pcn_cli" in (node.module or "")]
    missing = [(module, name) for module, name in own if not hasattr(__import__(module, fromlist=[name]), name)]
    assert missing == []
