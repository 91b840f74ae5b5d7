"""Each row is measured and held against its target; how fast it was is nobody's business here."""

import json
import re

import pytest
from typer.testing import CliRunner

from pcn_cli.cli.app import app
from pcn_cli.errors import RecipeError
from pcn_cli.stages import targets
from pcn_cli.stages.targets import ROWS, Row, measure_targets


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(targets, "_MODEL", "nano")
    monkeypatch.setattr(targets, "_SIDE", 32)
    monkeypatch.setattr(targets, "_PHOTOS", {1: (64, 48), 12: (128, 96)})


@pytest.mark.parametrize("key", [key for key in ROWS if key != "cold"])
def test_every_row_has_a_figure_for_each_round(small, key, monkeypatch):
    # What it gives is tested with its own file; to convert `nano` takes half a minute.
    monkeypatch.setattr(targets, "with_openvino", lambda _, fast, **__: fast)
    (found,) = measure_targets([key], rounds=2)
    words, bound, at_most, _ = ROWS[key]
    assert (found.key, found.words, found.bound, found.at_most) == (key, words, bound, at_most)
    assert found.low <= found.value <= found.high
    assert found.value > (-1 if key == "maps" else 0)
    assert found.holds == (found.value <= bound if at_most else found.value >= bound)


def test_the_bare_script_that_a_command_is_held_against_runs():
    (found,) = measure_targets(["cold"], rounds=1)
    assert found.value > 0.5
    # What it imported beside the network would be counted for pcn.
    assert re.findall(r"pcn_cli[\w.]*", targets._COLD) == ["pcn_cli.models.patchconvnet"]


def test_rows_are_chosen_by_name_and_told_with_their_verdict(monkeypatch):
    rows = {
        "fast": Row("ratio of one work", 2.0, False, lambda setting: [3.0] * setting.rounds),
        "slow": Row("seconds of another", 0.2, True, lambda _: [0.1, 0.3, 0.5]),
    }
    monkeypatch.setattr(targets, "ROWS", rows)
    assert [one.key for one in measure_targets(["all"])] == ["fast", "slow"]
    assert [one.key for one in measure_targets(["slow"])] == ["slow"]
    with pytest.raises(RecipeError, match="no target 'quick'"):
        measure_targets(["quick"])
    shown = CliRunner().invoke(app, ["bench", "--target", "all"], env={"COLUMNS": "80"})
    assert shown.exit_code == 0, shown.output
    first, second = (next(line for line in shown.stdout.splitlines() if word in line) for word in ("ratio", "seconds"))
    assert "≥ 2" in first
    assert "yes" in first
    assert "≤ 0.2" in second
    assert "0.10 – 0.50" in second
    assert "no" in second.split()
    plain = json.loads(CliRunner().invoke(app, ["bench", "--target", "slow", "--json"]).stdout)
    assert plain[0] == {
        "key": "slow", "words": "seconds of another", "bound": 0.2, "at_most": True,
        "value": 0.3, "low": 0.1, "high": 0.5, "holds": False,
    }  # fmt: skip


def test_what_has_no_effect_on_targets_is_refused():
    for words in (["--model", "nano"], ["--batch-size", "8"]):
        result = CliRunner().invoke(app, ["bench", "--target", "help", *words])
        assert isinstance(result.exception, RecipeError) or result.exit_code == 2
