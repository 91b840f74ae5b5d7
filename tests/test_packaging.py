"""What a person gets who installs the wheel."""

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built without any download."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as archive:
        yield archive


def test_every_file_of_the_package_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    listed = subprocess.run(["git", "ls-files", "pcn_cli"], cwd=ROOT, capture_output=True, text=True, check=True)
    files = {name for name in listed.stdout.splitlines() if (ROOT / name).is_file()}
    assert len(files) > 30
    assert files - set(wheel.namelist()) == set()


def test_the_recipes_are_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    recipes = {f"pcn_cli/recipes/{path.name}" for path in (ROOT / "recipes").glob("*.yaml")}
    assert recipes
    assert {name for name in wheel.namelist() if name.startswith("pcn_cli/recipes/")} == recipes


def test_the_licence_travels_along(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith("/licenses/LICENSE"))
    assert b"Apache License" in wheel.read(name)


def test_nothing_else_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    assert {name.split("/")[0].split("-")[0] for name in wheel.namelist()} == {"pcn_cli"}
    assert not [name for name in wheel.namelist() if "__pycache__" in name or name.endswith(".pyc")]


def test_the_wheel_is_small(wheel: zipfile.ZipFile) -> None:
    assert Path(str(wheel.filename)).stat().st_size <= 10_000_000


def test_the_command_is_pcn(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith("/entry_points.txt"))
    assert "pcn = pcn_cli.cli.app:main" in wheel.read(name).decode()


def test_what_is_uploaded_passes_the_index(tmp_path: Path) -> None:
    """Both distributions, as twine checks them; the page of the index is README.md."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    files = sorted(str(path) for path in tmp_path.iterdir())
    assert {Path(name).suffix for name in files} == {".whl", ".gz"}
    checked = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", *files], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert checked.stdout.count("PASSED") == 2


def test_the_container_asks_for_what_there_is() -> None:
    """It is built nowhere in our tests: its Python, extras, entry point and cache are compared with the package's."""
    lines = (ROOT / "examples" / "Dockerfile").read_text(encoding="utf-8").splitlines()
    steps = [line.split(" ", 1) for line in lines if line and not line.startswith("#")]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {word for word, _ in steps} == {"FROM", "RUN", "COPY", "ENV", "WORKDIR", "ENTRYPOINT"}
    assert steps[0][1] == f"python:{project['requires-python'].removeprefix('>=')}-slim"
    (extras,) = re.findall(r"/src\[([a-z,]+)\]", str(steps))
    assert set(extras.split(",")) <= project["optional-dependencies"].keys()
    assert json.loads(steps[-1][1])[0] in project["scripts"]
    assert any(word == "ENV" and "PCN_CACHE=" in rest for word, rest in steps)
