"""The only speaker: data goes to stdout, everything else to stderr, and no text of a file can steer the terminal."""

import json
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

out = Console(highlight=False)
console = Console(stderr=True, highlight=False)


@dataclass
class Verbosity:
    """How much is said: `quiet` leaves only errors and data, `debug` adds the log and tracebacks."""

    quiet: bool = False
    debug: bool = False


verbosity = Verbosity()


def safe(text: object) -> str:
    """`text` for the terminal: control and direction characters made visible, rich markup switched off."""
    shown = "".join(f"\\u{ord(c):04x}" if unicodedata.category(c) in _STEERING else c for c in str(text))
    return escape(shown)


# Control, format (bidi and zero width), surrogate, private, line and paragraph separators.
_STEERING = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


def say(text: str) -> None:
    """A line for the person, unless they asked for quiet; `text` may hold rich markup."""
    if not verbosity.quiet:
        console.print(text, soft_wrap=True)


def print_json(value: object) -> None:
    """`value` on stdout as JSON for a machine."""
    sys.stdout.write(json.dumps(value, indent=1, ensure_ascii=True, allow_nan=False) + "\n")
    sys.stdout.flush()


def new_table(*columns: str, title: str | None = None) -> Table:
    """An empty table in the one look; columns whose name ends in # hold numbers."""
    table = Table(title=title, box=None, header_style="bold", title_justify="left", pad_edge=False)
    for column in columns:
        table.add_column(column.removesuffix("#"), justify="right" if column.endswith("#") else "left", no_wrap=False)
    return table


@contextmanager
def progress(title: str, *, unit: str = "") -> Iterator[Callable[[int, int | None], None]]:
    """A bar while the block runs; the yielded function takes how much is done, of how much (None: unknown)."""
    if verbosity.quiet or not console.is_terminal:
        yield lambda _done, _total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit))
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console, transient=True) as bars:
        task = bars.add_task(safe(title), total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)
