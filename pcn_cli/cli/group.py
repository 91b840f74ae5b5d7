"""The group of all commands: each is imported when it is called, so that nobody waits for the options of the others.

Its help names no types of flags, and words of other tools lead to its own commands.
"""

import sys
from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from types import ModuleType
from typing import Any, cast

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup
from typer.main import get_group

HELP = ["-h", "--help"]
# The commands in display order, each with the first sentences of its help; the file of that name has it.
SUMMARIES = {
    "finetune": "Turn a folder of photos into a classifier, measure it and report what it looks at.",
    "predict": "Name what is on each photo, and show where the decision came from.",
    "report": "Write the report of a run: one folder, or one file, opened from disk, without a network.",
    "evaluate": "Measure the test part of a run again, with its maps; or measure its model on other labelled photos.",
    "inspect": (
        "Look at every photo once: classes, sizes, copies, unreadable files, and what speaks against training as it is."
    ),
    "demo": "Try everything in about a minute: draw photos, train on them, measure, explain, report. Needs no network.",
    "bench": "Measure how fast this machine decodes, predicts, explains and trains; needs no photos.",
    "export": "Write a model as one file for other programs: uint8 pictures in; probabilities, decision and map out.",
    "serve": "Show a page on this machine to drop photos on: labels, probabilities and maps; Ctrl-C ends it.",
    "embed": "Write the numbers that a model's trunk makes of each photo, with content hashes, for other programs.",
    "doctor": "Check the installation: versions, devices, memory, caches, and packages that get in the way.",
    "runs": "List the runs in ./runs, newest last, with what they reached and the disk they take.",
    "models": "List, get, import, verify and push weights.",
    "recipes": "List, show and check recipes: the settings of a training.",
}
# What other tools call it, and what it is called here.
WORDS_ELSEWHERE = {
    "train": "finetune",
    "fit": "finetune",
    "tune": "finetune",
    "fine-tune": "finetune",
    "classify": "predict",
    "infer": "predict",
    "label": "predict",
    "sort": "predict --sort-into DIR",
    "eval": "evaluate",
    "test": "evaluate",
    "val": "evaluate",
    "validate": "evaluate",
    "check": "inspect",
    "scan": "inspect",
    "explain": "report",
    "open": "report --open",
    "show": "report --open",
    "benchmark": "bench",
    "compare": "runs compare",
    "ls": "runs",
    "list": "runs",
    "rm": "runs rm",
    "download": "models get",
    "weights": "models list",
    "help": "--help",
}


class Group(TyperGroup):
    """Commands whose flags stand in the help as they are typed, without `<bool>` behind them."""

    def __init__(self, **attrs: Any) -> None:  # noqa: ANN401 - what Typer hands over
        super().__init__(**attrs)
        self.commands = cast("MutableMapping[str, Any]", Commands())

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401, ARG002 - types of Typer's own copy of click
        """The names in display order; Typer's own way would build every command for that."""
        return list(SUMMARIES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401, ARG002 - see above
        """The command of that name with its summary alone, which is all that help and completion show of it."""
        summary = SUMMARIES.get(cmd_name)
        return None if summary is None else TyperCommand(cmd_name, help=summary)

    def get_params(self, ctx: Any) -> list[Any]:  # noqa: ANN401 - see above
        """The options before a command; those that install completion are put there late."""
        return _tidy(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - see above
        """What follows the options; an unknown first word is refused before Typer prepares to read them."""
        if args and not args[0].startswith("-") and args[0] not in SUMMARIES and not ctx.resilient_parsing:
            self.resolve_command(ctx, args)
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401 - see above
        """What the first of `args` names; the error of an unknown word names the command that was probably meant."""
        own = WORDS_ELSEWHERE.get(args[0]) if args else None
        if own is not None and self.get_command(ctx, args[0]) is None:
            ctx.fail(f"No such command '{args[0]}'. Did you mean `pcn {own}`?")
        name, known, rest = super().resolve_command(ctx, args)
        return name, None if known is None else self.commands[args[0]], rest

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - see above
        """Print the help."""
        _import_help()
        super().format_help(ctx, formatter)


class Commands(Mapping[str, Any]):
    """The commands by name, in display order; each is imported and built when it is first asked for."""

    def __init__(self) -> None:
        self._built: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - see above
        if name not in self._built:
            if name not in SUMMARIES:
                raise KeyError(name)
            self._built[name] = _build(name)
        return self._built[name]

    def __iter__(self) -> Iterator[str]:
        return iter(SUMMARIES)

    def __len__(self) -> int:
        return len(SUMMARIES)


# What Typer's help imports beside what it needs, and the name that it takes from there.
_UNUSED = {"rich.markdown": "Markdown", "rich.traceback": "Traceback"}


def _import_help() -> None:
    """Import what Typer makes help with, and not the two parts of rich that it names: a fifth of the time of a help.

    Markdown is for another markup mode than ours, and tracebacks are not Typer's to show here.
    """
    if "typer.rich_utils" in sys.modules:
        return
    absent = [name for name in _UNUSED if name not in sys.modules]
    for name in absent:
        sys.modules[name] = ModuleType(name)
        setattr(sys.modules[name], _UNUSED[name], type(_UNUSED[name], (), {}))
    try:
        import_module("typer.rich_utils")
    finally:
        for name in absent:
            del sys.modules[name]


def _build(name: str) -> Any:  # noqa: ANN401 - see above
    """The command, or the group of commands, that the file of that name has."""
    parent = typer.Typer(rich_markup_mode="rich")
    parent.add_typer(import_module(f"pcn_cli.cli.commands.{name}").app)
    command = get_group(parent).commands[name]
    for one in (command, *_below(command)):
        _tidy(one.get_params(one.context_class(one, help_option_names=HELP)))
    return command


def _tidy(parameters: list[Any]) -> list[Any]:
    """The parameters, flags and arguments among them without a type beside their names."""
    for one in parameters:
        if isinstance(one, TyperArgument):
            one.display_type_rich = _no_type  # type: ignore[method-assign]
        elif one.is_flag and one.metavar is None:
            one.metavar = ""
    return parameters


def _no_type(ctx: object) -> str:  # noqa: ARG001 - as Typer calls it
    return ""


def _below(group: Any) -> Iterator[Any]:  # noqa: ANN401 - see above
    """Every command below the group; only there does an option --help exist before it is asked for."""
    for command in getattr(group, "commands", {}).values():
        yield command
        yield from _below(command)
