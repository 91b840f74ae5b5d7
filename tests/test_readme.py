"""The README's made parts are what the program says, and its commands are the ones that the checks run."""

import importlib.util
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def load_readme_maker():
    spec = importlib.util.spec_from_file_location("readme_maker", ROOT / "tests" / "readme.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_made_parts_are_up_to_date():
    maker = load_readme_maker()
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"<!-- made: (\S+) -->", text)) == set(maker.PARTS)
    assert maker.rendered(text) == text, "run `python tests/readme.py`"


def test_every_command_has_an_example_in_its_help():
    maker = load_readme_maker()
    commands = maker.all_commands()
    assert len(commands) > 10
    for words in commands:
        assert f"pcn {' '.join(words)}" in maker.help_text(words).partition("Examples:")[2], words


def test_ci_runs_the_readme_s_test_command():
    command = next(line for line in (ROOT / "README.md").read_text().splitlines() if "tests/check.py --browser" in line)
    assert command in (ROOT / ".ci" / "run").read_text().splitlines()
