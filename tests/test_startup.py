"""`pcn --help` must not pay for torch: heavy libraries enter with the first line of a command's body."""

import json
import subprocess
import sys

import pytest

HEAVY = {
    "torch",
    "torchvision",
    "timm",
    "albumentations",
    "sklearn",
    "scipy",
    "cv2",
    "matplotlib",
    "numpy",
    "pydantic",
    "PIL",
}


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def imported_packages(code: str) -> set[str]:
    listed = run_python(f"{code}\nimport json, sys\nprint('\\n' + json.dumps(sorted(sys.modules)))")
    return {name.partition(".")[0] for name in json.loads(listed.splitlines()[-1])}


def test_the_command_line_imports_nothing_heavy():
    assert not imported_packages("import pcn_cli.cli.app") & HEAVY


def test_the_package_imports_nothing_heavy():
    assert not imported_packages("import pcn_cli") & (HEAVY | {"typer", "rich"})


def test_only_known_packages_are_imported_at_start():
    ours_and_known = {"pcn_cli", "typer", "rich", "shellingham", "pygments", "markdown_it", "mdurl", "annotated_doc"}
    plain = imported_packages("")
    new = {
        name
        for name in imported_packages("import pcn_cli.cli.app") - plain
        if name not in sys.stdlib_module_names and not name.startswith("_")
    }
    assert new <= ours_and_known


def test_every_help_stays_light():
    code = """
import sys
from pcn_cli.cli.app import app
from typer.main import get_command
from typer.testing import CliRunner
runner = CliRunner()
def walk(command, words):
    result = runner.invoke(app, [*words, '--help'])
    assert result.exit_code == 0, (words, result.output)
    for name, child in getattr(command, 'commands', {}).items():
        walk(child, [*words, name])
walk(get_command(app), [])
"""
    # typer itself asks pydantic about the options of a command.
    assert not imported_packages(code) & (HEAVY - {"pydantic"})


@pytest.mark.parametrize("name", ["finetune", "predict", "load_model"])
def test_the_python_names_arrive_when_first_used(name):
    assert run_python(f"import pcn_cli; print(callable(pcn_cli.{name}))").strip() == "True"


def test_an_unknown_name_is_an_attribute_error():
    import pcn_cli

    with pytest.raises(AttributeError, match="no attribute 'finetun'"):
        _ = pcn_cli.finetun
