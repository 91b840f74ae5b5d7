"""The group of all commands: its help names no types of flags, and words of other tools lead to its own commands."""

from collections.abc import Iterator
from typing import Any

from typer.core import TyperArgument, TyperGroup

HELP = ["-h", "--help"]
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
        for command in _below(self):
            _tidy(command.get_params(command.context_class(command, help_option_names=HELP)))

    def get_params(self, ctx: Any) -> list[Any]:  # noqa: ANN401 - types of Typer's own copy of click
        """The options before a command; those that install completion are put there late."""
        return _tidy(super().get_params(ctx))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401 - see above
        """What the first of `args` names; the error of an unknown word names the command that was probably meant."""
        own = WORDS_ELSEWHERE.get(args[0]) if args else None
        if own is not None and self.get_command(ctx, args[0]) is None:
            ctx.fail(f"No such command '{args[0]}'. Did you mean `pcn {own}`?")
        return super().resolve_command(ctx, args)


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
