"""Tab, in the shells that are here: commands, options and values, as the installed script asks for them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pcn_cli.cli import complete
from pcn_cli.models.zoo import CARDS
from pcn_cli.recipe.schema import OPTIONS

ROOT = Path(__file__).resolve().parents[2]
BASH = """
eval "$(_PCN_COMPLETE=source_bash pcn)"
while read -r -a COMP_WORDS; do
    [ "${COMP_WORDS[-1]}" = TAB ] && COMP_WORDS[-1]=""
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=()
    _pcn_completion pcn
    echo "${COMPREPLY[*]}"
done
"""
# What zsh's own function is asked to offer is printed instead of being shown.
ZSH = """
compdef() { : }
eval "$(_PCN_COMPLETE=source_zsh pcn)"
_arguments() { print -r -- "$1" }
while read -r line; do
    words=(${(z)line}); [[ $words[-1] = TAB ]] && words[-1]=""
    CURRENT=$#words
    _pcn_completion
done
"""
ASKED = {
    "pcn fine": {"finetune"},
    "pcn predict --crop-b": {"--crop-boxes"},
    "pcn runs TAB": {"compare", "rename", "rm", "clean"},
    "pcn finetune ./photos --tune TAB": {"probe", "pooling", "all"},
    "pcn finetune --model s60-3": {"s60-384"},
    "pcn predict a.jpg --model runs/f": {"runs/fruit-nano-1"},
    "pcn runs rm TAB": {"fruit-nano-1"},
    "pcn finetune --set train.l": {key for key in (f"{key}=" for key in OPTIONS) if key.startswith("train.l")},
}


def ask(shell: list[str], script: str, folder: Path) -> list[str]:
    """What a shell offers to each of the lines, its own words and nothing of torch's."""
    (folder / "bin").mkdir()
    (folder / "bin" / "pcn").write_text(f'#!/bin/sh\nexec {sys.executable} -m pcn_cli "$@"\n', encoding="utf-8")
    (folder / "bin" / "pcn").chmod(0o755)
    (folder / "runs" / "fruit-nano-1").mkdir(parents=True)
    (folder / "runs" / "fruit-nano-1" / "run.json").write_text("{}", encoding="utf-8")
    search = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [*shell, script],
        input="".join(f"{line}\n" for line in ASKED),
        env=os.environ | {"PATH": search, "PYTHONPATH": str(ROOT)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_bash_completes_commands_options_cards_runs_recipes_and_fields(tmp_path: Path) -> None:
    offered = ask(["bash", "--norc", "-c"], BASH, tmp_path)
    assert {line: set(words.split()) for line, words in zip(ASKED, offered, strict=True)} == ASKED


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("zsh") is None, reason="there is no zsh here")
def test_zsh_completes_the_same(tmp_path: Path) -> None:
    offered = ask(["zsh", "-f", "-c"], ZSH, tmp_path)
    for (line, words), found in zip(ASKED.items(), offered, strict=True):
        assert all(word in found for word in words), line


def test_the_names_of_all_cards_are_offered() -> None:
    assert complete.card_names() == tuple(card.name for card in CARDS)
