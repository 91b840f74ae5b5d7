"""Runs every check of the project, one after the other, and stops at the first that fails.

`--browser` first installs the browser that the report's tests need (Debian's chromium).
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CHECKS = (
    ("ruff", "format", "--check", "."),
    ("ruff", "check", "."),
    ("mypy",),
    ("lint-imports",),
    ("pytest", "-n", "logical", "--dist", "worksteal"),
)
# Tests run side by side, one on each core: threads of theirs would wait for each other.
ONE_THREAD = {"OMP_NUM_THREADS": "1"}


def main() -> int:
    """The exit code of the first check that fails, or 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--browser", action="store_true", help="install the browser first, where it is missing")
    parser.add_argument("pytest_arguments", nargs="*", help="handed on to pytest, after --")
    arguments = parser.parse_args()
    if arguments.browser:
        install_browser()
    for check in CHECKS:
        command = _command(check) + (arguments.pytest_arguments if check[0] == "pytest" else [])
        print(f"$ {' '.join(check)}", flush=True)
        code = subprocess.run(command, cwd=ROOT, check=False, env=ONE_THREAD | os.environ).returncode
        if code:
            print(f"{' '.join(check)} failed with exit code {code}", file=sys.stderr)
            return code
    return 0


def install_browser() -> None:
    """Install Debian's chromium with apt-get, as root or through sudo, unless it is there."""
    if shutil.which("chromium"):
        return
    as_root = [] if os.geteuid() == 0 else ["sudo"]
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for step in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", "chromium"]):
        subprocess.run([*as_root, "apt-get", *step], check=True, env=quiet, stdout=subprocess.DEVNULL)


def _command(check: tuple[str, ...]) -> list[str]:
    program = Path(sys.executable).parent / check[0]
    return [str(program) if program.exists() else check[0], *check[1:]]


if __name__ == "__main__":
    sys.exit(main())
