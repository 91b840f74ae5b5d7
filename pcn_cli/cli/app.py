"""The command line: its commands in display order, and the one place where an error becomes words and an exit code."""

import signal
import sys
import traceback
from types import FrameType
from typing import Annotated, NoReturn

import typer

from pcn_cli import __version__
from pcn_cli.cli.commands import (
    bench,
    demo,
    doctor,
    evaluate,
    finetune,
    inspect,
    models,
    predict,
    recipes,
    report,
    runs,
)
from pcn_cli.cli.console import console, out, safe, verbosity
from pcn_cli.errors import PcnError, StoppedError
from pcn_cli.files.machine import keep_freed_memory

app = typer.Typer(
    name="pcn",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
)

for command in (finetune, predict, report, evaluate, inspect, demo, bench, doctor, runs, models, recipes):
    app.add_typer(command.app)


def _show_version(wanted: bool) -> None:
    if wanted:
        out.print(f"pcn {__version__}")
        raise typer.Exit


@app.callback(epilog="Start with: pcn finetune ./my_images")
def _global_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors and results.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show where in the program an error arose.")] = False,
) -> None:
    """Turn a folder of photos into a classifier you can look inside."""
    del version
    verbosity.quiet, verbosity.debug = quiet, debug


def main() -> NoReturn:
    """Run the command line and leave with its exit code."""
    signal.signal(signal.SIGTERM, _stop)
    keep_freed_memory()
    try:
        app(prog_name="pcn")
    except PcnError as error:
        _show(error.message, error.hint)
        sys.exit(error.exit_code)
    except Exception as error:  # noqa: BLE001 - the last border: whatever is left is a bug of ours
        hint = "" if verbosity.debug else "the same with `pcn --debug …`, and report what it prints"
        _show(f"a bug of pcn: {type(error).__name__}: {error}", hint)
        sys.exit(1)
    sys.exit(0)


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    raise StoppedError("stopped", signal_number=number)


def _show(message: str, hint: str) -> None:
    if verbosity.debug:
        console.print(_lines(traceback.format_exc()), soft_wrap=True)
    console.print(f"[bold red]error:[/bold red] {_lines(message)}", soft_wrap=True)
    if hint:
        console.print(f"  [bold]try:[/bold] {_lines(hint)}", soft_wrap=True)


def _lines(text: str) -> str:
    return "\n".join(safe(line) for line in text.split("\n"))
