from pathlib import Path

import pytest
from typer.testing import CliRunner

from pcn_cli.cli.app import app


@pytest.mark.parametrize(
    ("words", "option", "value"),
    [
        ([], "single_file", False),
        (["--single-file"], "single_file", True),
        (["--images", "new", "--output", "there"], "output", Path("there")),
        (["--images", "new", "--device", "cpu"], "device", "cpu"),
    ],
)
def test_every_option_reaches_the_function(monkeypatch, words, option, value):
    got = {}
    monkeypatch.setattr(
        "pcn_cli.stages.report.report", lambda _, **options: got.update(options) or Path("run/page.html")
    )
    result = CliRunner().invoke(app, ["report", "run", *words])
    assert result.exit_code == 0, result.output
    assert got[option] == value
    assert "report: run/page.html" in result.output
