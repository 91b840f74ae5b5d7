"""The command line: what stands before a command, and the one place where an error becomes words and an exit code."""

import atexit
import gc
import logging
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer

from pcn_cli import __version__
from pcn_cli.cli.console import console, guarded_streams, out, safe, verbosity
from pcn_cli.cli.group import HELP, Group
from pcn_cli.errors import PcnError, ResourceError, StoppedError, command
from pcn_cli.files.machine import calm_numpy, is_led, keep_freed_memory

app = typer.Typer(
    name="pcn",
    cls=Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": HELP},
    rich_markup_mode="rich",
)

_SWITCHES = ("-q", "--quiet", "-v", "--verbose", "--debug")
_QUIET = "Say nothing but errors and results; before or after the command."
_VERBOSE = "Say every choice with its reason, and all numbers; before or after the command."
_DEBUG = "Show where in the program an error arose; before or after the command."
# A stop outside of a training, which handles them itself: there is nothing to save, but much to put away.
_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGUSR1") if hasattr(signal, name))
_SILENT = logging.NullHandler()


def _show_version(wanted: bool) -> None:
    if wanted:
        out.print(f"pcn {__version__}")
        raise typer.Exit


@app.callback(epilog="Start with: pcn finetune ./my_images")
def _global_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help=_QUIET)] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help=_VERBOSE)] = False,
    debug: Annotated[bool, typer.Option("--debug", help=_DEBUG)] = False,
) -> None:
    """Turn a folder of photos into a classifier you can look inside."""
    del version
    verbosity.ask(quiet=quiet, verbose=verbose, debug=debug)


def main() -> NoReturn:
    """Run the command line and leave with its exit code."""
    verbosity.quiet = verbosity.verbose = verbosity.debug = False
    logging.getLogger().addHandler(_SILENT)  # else Python prints what libraries log
    keep_freed_memory()
    calm_numpy()
    atexit.register(gc.freeze)  # else Python searches all of torch for cycles before it ends, which takes a second
    try:
        with _signals_stopping(), guarded_streams():
            app(_in_order(sys.argv[1:]), prog_name="pcn")
    except PcnError as error:
        _show(error.message, error.hint)
        sys.exit(error.exit_code)
    except StoppedError as error:
        if not is_led():  # of several processes a launcher stops the others, once one has ended
            _show(error.message, error.hint or command(*sys.argv[1:]))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except OSError as error:
        from pcn_cli.files.atomic import explain_refusal  # with what writes files, which a help does not

        refusal = explain_refusal(error, Path(os.fsdecode(error.filename or Path.cwd())), doing="use")
        _show(refusal.message, refusal.hint)
        sys.exit(refusal.exit_code)
    except Exception as error:  # noqa: BLE001 - the last border: whatever is left is a bug of ours
        if _ran_out_of_memory(error):
            _show(
                "the memory ran out", "close other programs and run it again; a smaller model, such as nano, needs less"
            )
            sys.exit(ResourceError.exit_code)
        hint = "" if verbosity.debug else "the same with `pcn --debug …`, and report what it prints"
        _show(f"a bug of pcn: {type(error).__name__}: {error}", hint)
        sys.exit(1)
    finally:
        logging.captureWarnings(capture=False)
    sys.exit(0)


def _ran_out_of_memory(error: Exception) -> bool:
    """Whether an error means that memory ran out, in the words of whichever library said it."""
    if isinstance(error, MemoryError) or "torch" not in sys.modules:
        return isinstance(error, MemoryError)
    from pcn_cli.training.device import is_out_of_memory

    return is_out_of_memory(error)


def _in_order(words: Sequence[str]) -> list[str]:
    """The words of a command with the global switches first and `--json` last, wherever they were typed."""
    end = words.index("--") if "--" in words else len(words)
    switches = [word for word in words[:end] if word in _SWITCHES]
    wishes = ["--json"] * ("--json" in words[:end])
    rest = [word for word in words[:end] if word not in (*_SWITCHES, "--json")]
    return [*switches, *rest, *wishes, *words[end:]]


@contextmanager
def _signals_stopping() -> Iterator[None]:
    """While the block runs, SIGTERM, SIGHUP and SIGUSR1 raise a StoppedError.

    One that was ignored, as nohup does, stays so. Where a library swallowed or changed the error, it comes in the end.
    """
    process, received, before = os.getpid(), list[int](), dict[int, Any]()

    def stop(number: int, _frame: FrameType | None) -> None:
        if os.getpid() != process:  # a forked worker: its parent decides
            return
        received.append(number)
        raise StoppedError("stopped", signal_number=number)

    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, stop)
    try:
        yield
    except (StoppedError, KeyboardInterrupt):
        raise
    except BaseException as error:
        if received:
            raise StoppedError("stopped", signal_number=received[0]) from error
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _show(message: str, hint: str) -> None:
    """Say what went wrong; where nobody can be told any more, the exit code says enough."""
    if verbosity.debug:
        console.print(_lines(traceback.format_exc()), soft_wrap=True)
    console.print(f"[bold red]error:[/bold red] {_lines(message)}", soft_wrap=True)
    if hint:
        console.print(f"  [bold]try:[/bold] {_lines(hint)}", soft_wrap=True)


def _lines(text: str) -> str:
    return "\n".join(safe(line) for line in text.split("\n"))
