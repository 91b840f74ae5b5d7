"""What a person meets at the prompt: errors in words, exit codes, data on stdout and everything else on stderr."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PCN = (sys.executable, "-m", "pcn_cli")


def run_pcn(*words: str, cwd: Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
    return subprocess.run(
        [*PCN, *words], cwd=cwd, input=stdin, capture_output=True, text=True, env=environment, check=False
    )


def test_version_and_nothing_else(tmp_path):
    result = run_pcn("--version", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("pcn 0.")


def test_a_mistyped_command_is_suggested(tmp_path):
    result = run_pcn("finetone", cwd=tmp_path)
    assert result.returncode == 2
    assert "finetune" in result.stderr


def test_a_mistyped_option_is_suggested(tmp_path):
    result = run_pcn("finetune", "photos", "--epoch", "3", cwd=tmp_path)
    assert result.returncode == 2
    assert "--epochs" in result.stderr


@pytest.mark.parametrize("words", [("predict", "a.jpg"), ("report",), ("evaluate",)])
def test_without_a_run_the_command_to_type_is_named(words, tmp_path):
    (tmp_path / "a.jpg").touch()
    result = run_pcn(*words, cwd=tmp_path)
    assert result.returncode == 8
    assert result.stdout == ""
    assert result.stderr == "error: there is no finished run yet\n  try: make one with `pcn finetune PHOTOS`\n"


def test_a_folder_that_is_not_there(tmp_path):
    result = run_pcn("finetune", "nowhere", cwd=tmp_path)
    assert result.returncode == 3
    assert "nowhere" in result.stderr
    assert not (tmp_path / "runs").exists()


def test_every_problem_of_a_recipe_in_one_message(tmp_path):
    (tmp_path / "mine.yaml").write_text("train:\n  epoch: 3\n  lr: no\n")
    result = run_pcn("recipes", "check", "mine.yaml", "--set", "seed=-1", cwd=tmp_path)
    assert result.returncode == 2
    for word in ("train.epoch", "train.epochs", "train.lr", "--set seed=-1"):
        assert word in result.stderr


def test_inspect_prints_json_even_where_it_refuses(tmp_path, photo_folder):
    for label in ("blue", "green"):
        for photo in (photo_folder / label).iterdir():
            photo.unlink()
        (photo_folder / label).rmdir()
    result = run_pcn("inspect", str(photo_folder), "--json", cwd=tmp_path)
    assert result.returncode == 3
    assert json.loads(result.stdout)["classes"] == {"red": 12}
    assert "error:" in result.stderr


def test_hostile_names_do_not_steer_the_terminal(tmp_path, photo_folder):
    (photo_folder / "red").rename(photo_folder / "\x1b[31mred[bold]\u202e")
    result = run_pcn("inspect", str(photo_folder), cwd=tmp_path)
    assert result.returncode == 0
    assert "\x1b" not in result.stdout
    assert "\u202e" not in result.stdout
    assert "\\u001b[31mred[bold]\\u202e" in result.stdout


@pytest.mark.skipif(os.name == "nt", reason="there are no such pipes on Windows")
def test_a_closed_pipe_ends_quietly(tmp_path):
    with subprocess.Popen(
        [*PCN, "recipes", "show"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        errors = process.stderr.read()
        assert process.wait() == 141
    assert errors == b""


def test_flags_without_effect_are_refused(tmp_path):
    (tmp_path / "a.jpg").touch()
    for words in (
        ("predict", "a.jpg", "--look", "heat"),
        ("predict", "a.jpg", "--map", "evidence"),
        ("predict", "a.jpg", "--map", "look"),
        ("predict", "a.jpg", "--overlay", "maps", "--map", "evidence", "--look", "heat"),
        ("predict", "a.jpg", "--json", "--csv"),
    ):
        assert run_pcn(*words, cwd=tmp_path).returncode == 2


def test_recipes_show_is_a_recipe_again(tmp_path):
    shown = run_pcn("recipes", "show", "quick", cwd=tmp_path)
    (tmp_path / "again.yaml").write_text(shown.stdout)
    assert run_pcn("recipes", "check", "again.yaml", cwd=tmp_path).returncode == 0
    assert shown.stdout == run_pcn("recipes", "show", "again.yaml", cwd=tmp_path).stdout


def test_runs_of_an_empty_folder(tmp_path):
    result = run_pcn("runs", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (0, "")
    assert "pcn finetune" in result.stderr
