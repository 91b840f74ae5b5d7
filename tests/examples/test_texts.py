"""The commands of README.md and examples/*.md do what the texts say: they are run, in a copy of one small workplace.

Each ```sh block is run line by line in this process, on `nano` in place of the card that a text names, with small
pictures and few passes. A block that cannot run says why in a comment above it, `<!-- not run: … -->`; its options are
parsed all the same. Blocks of Python are run as they stand.
"""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from pcn_cli.cli.app import app
from pcn_cli.models.zoo import CARDS

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "tests" / "benchmarks" / "RESULTS.md"
TEXTS = (ROOT / "README.md", *sorted((ROOT / "examples").glob("*.md")), BENCHMARKS)
_BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<why>.+?) -->\n)?```(?P<kind>sh|python)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_HTML = re.compile(r"<!--.*?-->", re.DOTALL)


class Block(NamedTuple):
    """One block of commands or Python, and why it is not run."""

    kind: str
    body: str
    why: str | None


Words = list[str]


def read_blocks(text: Path) -> list[Block]:
    """The blocks of a text, in order."""
    found = _BLOCK.finditer(text.read_text(encoding="utf-8"))
    return [Block(match["kind"], match["body"], match["why"]) for match in found]


def split_lines(body: str) -> Iterator[list[tuple[str, Words]]]:
    """Each command line as (what stands before a command: "", "&&", "|" or ">", its words)."""
    for line in body.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="&|>")
        lexer.whitespace_split, lexer.commenters = True, "#"
        parts: list[tuple[str, Words]] = [("", [])]
        for word in lexer:
            if word in ("&&", "|", ">"):
                parts.append((word, []))
            else:
                parts[-1][1].append(word)
        if parts[0][1]:
            yield parts


def all_commands(text: Path) -> list[Words]:
    """What follows `pcn` in each command of a text, whether it is run or not."""
    blocks = (block for block in read_blocks(text) if block.kind == "sh")
    lines = (line for block in blocks for line in split_lines(block.body))
    return [words[1:] for line in lines for _, words in line if words[0] == "pcn"]


def parse(words: Words) -> click.Context:
    """The context of a command as it would be called; a wrong option or command raises."""
    command: click.Command = get_command(app)
    context = None
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        context = click.Context(command, parent=context, info_name=words[0])
        name, command, words = command.resolve_command(context, words)
        assert command is not None, name
    return command.make_context("pcn", list(words), parent=context)


def in_small(words: Words, short: Words) -> Words:
    """The command made short: `nano` for published cards, and `short` for what trains."""
    published = {card.name for card in CARDS if card.name != "nano"}
    words = ["nano" if word in published else word for word in words]
    if words[0] != "finetune" or "--resume" in words:
        return words
    model = [] if "--model" in words else ["--model", "nano"]
    epochs = ["--epochs", "1"] if "all" in words and "--epochs" not in words else []
    several = any(Path(word).is_file() and "labels" in Path(word).read_text().split("\n")[0] for word in words)
    # Maps of photos with several labels are not checked, and a setting without effect is refused.
    return [*words, *model, *epochs, *(word for word in short if not (several and word.startswith("--set=explain.")))]


def run_line(line: list[tuple[str, Words]], short: Words) -> None:
    """Do one command line as a shell would; whatever ends with another code than 0 fails."""
    output = b""
    for mark, words in line:
        if mark == ">":
            Path(words[0]).write_bytes(output)
        elif words[0] == "pcn":
            result = CliRunner().invoke(app, in_small(words[1:], short), input=output if mark == "|" else None)
            assert result.exit_code == 0, (words, result.exception, result.stderr)
            output = result.stdout_bytes
        else:
            words = [sys.executable, *words[1:]] if words[0] == "python" else words
            done = subprocess.run(words, input=output if mark == "|" else b"", capture_output=True, check=False)
            assert done.returncode == 0, (words, done.stderr)
            output = done.stdout


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text.stem)
def test_every_block_of_a_text_runs(text: Path, workplace: Path, short: Words) -> None:
    blocks = read_blocks(text)
    names: dict[str, object] = {}
    for block in blocks:
        if block.why is None and block.kind == "sh":
            for line in split_lines(block.body):
                run_line(line, short)
        elif block.why is None:
            exec(compile(block.body, str(text), "exec"), names)


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text.stem)
def test_every_command_of_a_text_can_be_parsed(text: Path) -> None:
    for words in all_commands(text):
        parse(words)


def test_most_blocks_are_run() -> None:
    blocks = [block for text in TEXTS if text != BENCHMARKS for block in read_blocks(text)]
    assert len(blocks) >= 30
    assert sum(block.why is None for block in blocks) >= 0.7 * len(blocks)
    assert all(len(block.why.split()) >= 3 for block in blocks if block.why is not None)


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text.stem)
def test_every_command_and_option_that_a_sentence_names_exists(text: Path) -> None:
    prose = _FENCED.sub("", _HTML.sub("", text.read_text(encoding="utf-8")))
    options = {name for command in walk(get_command(app)) for one in command.params for name in one.opts}
    for code in re.findall(r"`([^`\n]+)`", prose):
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", code))
        if code.startswith("pcn "):
            words = [word for word in shlex.split(code)[1:] if word not in ("…", "COMMAND")]
            assert resolve(words), (text.name, code)
            assert named <= {name for one in resolve(words)[-1].params for name in one.opts} | {"--help"}, code
        elif not code.startswith(("python ", "pytest ", "git ", "tensorboard ")):
            assert named <= options | {"--help"}, (text.name, code)


def walk(command: click.Command) -> Iterator[click.Command]:
    """The command with all below it."""
    yield command
    for child in getattr(command, "commands", {}).values():
        yield from walk(child)


def resolve(words: Words) -> list[click.Command]:
    """`pcn` and the commands that the words name, the last one the most particular."""
    found: list[click.Command] = [get_command(app)]
    for word in words:
        children = getattr(found[-1], "commands", None)
        if not children or word.startswith("-") or word not in children:
            break
        found.append(children[word])
    return found if len(found) > 1 or not words or words[0].startswith("-") else []


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text.stem)
def test_every_link_and_every_file_that_a_text_names_leads_to_one(text: Path) -> None:
    content = text.read_text(encoding="utf-8")
    for target, heading in re.findall(r"\]\(([^)#\s]+)(?:#([^)\s]+))?\)", content):
        if "://" not in target:
            path = text.parent / target
            assert path.exists(), f"{text.name} links to {target}"
            titles = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE) if heading else []
            assert not heading or heading in {
                re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles
            }
    for name in re.findall(r"\b(?:examples|tests)/[\w/]+\.(?:py|md)", content):
        assert (ROOT / name).is_file(), f"{text.name} names {name}"
