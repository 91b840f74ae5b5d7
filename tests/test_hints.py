"""What a message tells to type can be typed: quoted, with options that exist; and nothing catches a request to stop."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import pcn_cli
from pcn_cli.cli.app import app
from pcn_cli.errors import command

ROOT = Path(pcn_cli.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))


def trees() -> Iterator[tuple[str, ast.Module]]:
    for path in FILES:
        yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def texts() -> list[tuple[str, str]]:
    """Every text in the program with its place, a placeholder where a value stands in it."""
    found = []
    for name, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "\0" for part in node.values]
                found.append((f"{name}:{node.lineno}", "".join(map(str, parts))))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append((f"{name}:{node.lineno}", node.value))
    return found


def options_below(node: Any) -> set[str]:
    """The options of a command and of all below it."""
    own = {name for one in node.params for name in (*one.opts, *one.secondary_opts)}
    return own.union({"--help"}, *map(options_below, getattr(node, "commands", {}).values()))


def options_of(words: list[str]) -> set[str]:
    """The options of the command that `words` begin with."""
    node = get_command(app)
    general = {name for one in node.params for name in one.opts}
    for word in words:
        if word not in getattr(node, "commands", {}):
            break
        node = node.commands[word]
    return options_below(node) | general


TEXTS = texts()


def test_there_are_texts() -> None:
    assert len(TEXTS) > 2000
    assert sum("pcn " in text for _, text in TEXTS) > 60


# Names of cards and of timm's networks need no quotes, nor does the name of a published file.
HARMLESS = {"pcn finetune PHOTOS --model \0", "pcn finetune PHOTOS --model \0\0", "pcn models get \0"}
HARMLESS |= {"pcn synthetic \0", "fetch \0 elsewhere, then: pcn models import \0 \0"}


def test_no_command_holds_a_value_that_is_not_quoted() -> None:
    """Seen: `try: pcn inspect my photos lists them`, which typed as it stands looks into the folder `my`."""
    raw = re.compile(r"\bpcn [a-z]+[^`;:]*\0")
    wrong = [
        f"{place}: {text!r}"
        for place, text in TEXTS
        if raw.search(text) and not any(known in text for known in HARMLESS)
    ]
    assert not wrong


FOREIGN = {"--standalone", "--nproc-per-node", "--log-dir"}  # of torchrun, which is called and not told of


def test_messages_name_only_options_that_exist() -> None:
    """Seen: `choose another place with --output FOLDER` from a command that has no --output."""
    wrong = []
    every = options_of([]) | FOREIGN
    for place, text in TEXTS:
        wrong += [
            f"{place}: {option} in {text[:80]!r}"
            for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)
            if option not in every
        ]
        for line in re.findall(r"\bpcn ([a-z][^`;:)]*)", text):
            known = options_of(line.split())
            wrong += [
                f"{place}: {option} is not of pcn {line}"
                for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", line)
                if option not in known
            ]
    assert not wrong


@pytest.mark.parametrize(
    "path",
    [*("my photos", "it's", "a;b", "$HOME", "-dash", "ünï", "a\nb", '"x"'),
     *("--model", "-", "~", "*.jpg", "a\\b", "`id`", "[bold]", "#x", "!1", "a&b", "(c)", "\u202ex")],
)  # fmt: skip
def test_a_command_comes_back_from_a_shell_as_it_was(path) -> None:
    assert shlex.split(command("finetune", path, "--output", Path("runs/a b"))) == [
        "pcn", "finetune", path, "--output", "runs/a b",
    ]  # fmt: skip
    words = shlex.split(command("inspect", Path(path)))
    assert [words[:2], Path(words[2])] == [["pcn", "inspect"], Path(path)]
    assert not words[2].startswith("-")  # it would be taken for an option


def test_nothing_catches_a_request_to_stop_and_goes_on() -> None:
    """A StoppedError is no Exception; whoever catches everything else raises it again."""
    wrong = []
    for name, tree in trees():
        for node in ast.walk(tree):
            if not isinstance(node, ast.ExceptHandler):
                continue
            caught = ast.unparse(node.type) if node.type else "BaseException"
            if "BaseException" in caught and not isinstance(node.body[-1], ast.Raise):
                wrong.append(f"{name}:{node.lineno}")
    assert not wrong


def test_one_place_writes_safetensors() -> None:
    """Seen: a full disk below safetensors' own writer was "a bug of pcn: SafetensorError"."""
    writers = {
        name
        for name, tree in trees()
        for node in ast.walk(tree)
        if (isinstance(node, ast.ImportFrom) and any(one.name == "save_file" for one in node.names))
        or (isinstance(node, ast.Attribute) and ast.unparse(node) in ("safetensors.torch.save", "torch.save"))
    }
    assert writers == {"tensors/store.py"}
