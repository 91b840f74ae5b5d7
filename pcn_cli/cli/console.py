"""The only speaker: data goes to stdout, everything else to stderr, and no text of a file can steer the terminal."""

import json
import os
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

CLOSED_PIPE = 141


class _PipedConsole(Console):
    """A console that leaves with the shell's code for a closed pipe when nobody reads any more."""

    def on_broken_pipe(self) -> None:
        leave_closed_pipe()


def leave_closed_pipe() -> None:
    """Exit quietly; the reader of our output has gone away."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(CLOSED_PIPE)


out = _PipedConsole(highlight=False)
console = _PipedConsole(stderr=True, highlight=False)


@dataclass
class Verbosity:
    """How much is said: `quiet` leaves only errors and data, `debug` adds tracebacks."""

    quiet: bool = False
    debug: bool = False


verbosity = Verbosity()


def safe(text: object) -> str:
    """`text` for the terminal: control and direction characters made visible, rich markup switched off."""
    return escape("".join(f"\\u{ord(c):04x}" if unicodedata.category(c) in _STEERING else c for c in str(text)))


# Control, format (bidi and zero width), surrogate, private, line and paragraph separators.
_STEERING = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


def say(text: str) -> None:
    """A line for the person, unless they asked for quiet; `text` may hold rich markup."""
    if not verbosity.quiet:
        console.print(text, soft_wrap=True)


def print_json(value: object) -> None:
    """`value` on stdout as JSON for a machine."""
    write_out(json.dumps(value, indent=1, ensure_ascii=True, allow_nan=False) + "\n")


def write_out(text: str) -> None:
    """`text` on stdout for a machine, in UTF-8; bytes of file names that are no text go out as they came in."""
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        leave_closed_pipe()


def new_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str | None = None) -> Table:
    """A table in the one look; columns whose name ends in # hold numbers."""
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        header_style="bold",
        show_header=any(columns),
        box=None,
        pad_edge=False,
    )
    for column in columns:
        table.add_column(column.removesuffix("#"), justify="right" if column.endswith("#") else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def new_bars() -> Progress:
    """Progress bars in the one look; they vanish when done, and where there is no terminal they never show."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        transient=True,
        disable=verbosity.quiet or not console.is_terminal,
    )
