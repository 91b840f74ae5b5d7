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


ALL_COMMANDS = "from pcn_cli.cli.app import app; from typer.main import get_command; dict(get_command(app).commands)"


@pytest.fixture(scope="module")
def command_line():
    return imported_packages(ALL_COMMANDS)


def test_the_command_line_imports_nothing_heavy(command_line):
    assert not command_line & HEAVY


def test_the_package_imports_nothing_heavy():
    assert not imported_packages("import pcn_cli") & (HEAVY | {"typer", "rich"})


def test_only_known_packages_are_imported_at_start(command_line):
    ours_and_known = {"pcn_cli", "typer", "rich", "shellingham", "pygments", "markdown_it", "mdurl", "annotated_doc"}
    plain = imported_packages("")
    new = {name for name in command_line - plain if name not in sys.stdlib_module_names and not name.startswith("_")}
    assert new <= ours_and_known


def test_what_names_no_command_imports_none_of_them():
    code = """
import contextlib, io, sys
from pcn_cli.cli.app import main
for words in (['--help'], ['--version'], ['finetun'], ['train', './photos'], ['finetune', '--help']):
    told, sys.argv = io.StringIO(), ['pcn', *words]
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
        main()
    loaded = sorted(name for name in sys.modules if name.startswith('pcn_cli.cli.commands.'))
    print(*loaded, *sorted({'pydantic', 'pygments', 'markdown_it'} & set(sys.modules)))
"""
    lines = run_python(code).splitlines()
    assert lines == [""] * 4 + ["pcn_cli.cli.commands.finetune pydantic"]  # Typer asks pydantic for what options mean


def test_the_help_is_the_same_without_what_it_does_not_need():
    shown = """
import contextlib, sys
from pcn_cli.cli.app import main
sys.argv = ['pcn', '--help']
with contextlib.suppress(SystemExit):
    main()
from rich.markdown import Markdown
from rich.traceback import Traceback
assert Markdown.__init__ is not object.__init__ is not Traceback.__init__
"""
    assert run_python(shown) == run_python(f"import typer.rich_utils{shown}")


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


@pytest.mark.parametrize("photos", [1, 9])  # from eight on the fast form is built
def test_an_answer_of_a_patchconvnet_needs_torch_and_nothing_else_that_is_heavy(tmp_path, photos):
    import numpy as np

    from pcn_cli.data.drawing import draw_ground

    for number in range(photos):
        draw_ground(64, 64, np.random.default_rng(number)).save(tmp_path / f"{number}.jpg")
    words = ["predict", str(tmp_path), "--model", "nano", "--json"]
    code = f"""
import contextlib, sys
from pcn_cli.cli.app import main
sys.argv = ['pcn', *{words!r}]
with contextlib.suppress(SystemExit):
    main()
print()
print(sorted({{'torch._dynamo', 'scipy.stats'}} & set(sys.modules)))
"""
    listed = run_python(f"{code}\nimport json\nprint(json.dumps(sorted(sys.modules)))").splitlines()
    imported = {name.partition(".")[0] for name in json.loads(listed[-1])}
    assert listed[-2] == "[]"
    assert len(json.loads("\n".join(listed[:-2]))) == photos
    assert imported & (HEAVY | {"sympy", "triton", "huggingface_hub"}) == {"torch", "numpy", "pydantic", "PIL"}


@pytest.mark.parametrize("name", ["finetune", "predict", "load_model"])
def test_the_python_names_arrive_when_first_used(name):
    assert run_python(f"import pcn_cli; print(callable(pcn_cli.{name}))").strip() == "True"


def test_an_unknown_name_is_an_attribute_error():
    import pcn_cli

    with pytest.raises(AttributeError, match="no attribute 'finetun'"):
        _ = pcn_cli.finetun
