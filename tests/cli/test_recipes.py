import json
from dataclasses import asdict

from pcn_cli.recipe.load import load_recipe


def test_show_gives_the_resolved_values_as_json(pcn):
    result = pcn("recipes", "show", "quick", "--json")
    assert result.returncode == 0
    assert json.loads(result.stdout) == asdict(load_recipe("quick").recipe)


def test_check_gives_what_was_set_as_json(pcn, tmp_path):
    (tmp_path / "mine.yaml").write_text("train:\n  lr: 1e-4\n")
    result = pcn("recipes", "check", "mine.yaml", "--set", "seed=7", "--json")
    assert result.returncode == 0
    assert result.stderr == b""
    assert json.loads(result.stdout) == {"ok": True, "given": ["seed", "train.lr"]}


def test_a_bad_recipe_prints_no_json(pcn, tmp_path):
    (tmp_path / "mine.yaml").write_text("train:\n  lr: fast\n")
    result = pcn("recipes", "check", "mine.yaml", "--json")
    assert (result.returncode, result.stdout) == (2, b"")
    assert b"train.lr" in result.stderr
