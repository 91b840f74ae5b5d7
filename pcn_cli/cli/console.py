"""The only speaker: data goes to stdout, everything else to stderr, and no text of a file can steer the terminal."""

import errno
import json
import logging
import os
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import zip_longest
from typing import IO, Any, TextIO, cast

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from pcn_cli.errors import ResourceError

CLOSED_PIPE = 141

out = Console(highlight=False)
console = Console(stderr=True, highlight=False)


@contextmanager
def guarded_streams() -> Iterator[None]:
    """While the block runs, no text and no disk can make standard output or error fail in an unclear way.

    What the encoding lacks is written by its number. Where standard output cannot be written at all, that is a
    ResourceError; where standard error cannot, the work goes on in silence. Who closes the pipe ends the command with
    the shell's code for that.

    Raises:
        ResourceError: standard output is closed.
    """
    before = sys.stdout, sys.stderr
    if None in (sys.stdin, *before):
        _fill_closed_places()
    if sys.stdout is None:
        raise ResourceError("standard output is closed, so the result has nowhere to go", "send it to a file: > FILE")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    sys.stdout = cast("TextIO", _GuardedStream(sys.stdout, is_result=True))
    if sys.stderr is not None:
        sys.stderr = cast("TextIO", _GuardedStream(sys.stderr, is_result=False))
    try:
        yield
        sys.stdout.flush()
    finally:
        sys.stdout, sys.stderr = before


def _fill_closed_places() -> None:
    """Fill the places of closed standard streams: a file of a run that got one would hold what libraries print."""
    while (place := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(place)


class _GuardedStream:
    """A standard stream, or the bytes below it, whose failures are handled as `guarded_streams` says."""

    def __init__(self, stream: IO[Any], *, is_result: bool) -> None:
        self._stream, self._is_result = stream, is_result

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the stream has
        return getattr(self._stream, name)

    @property
    def buffer(self) -> "_GuardedStream":
        """The bytes below, guarded as well."""
        return _GuardedStream(cast("TextIO", self._stream).buffer, is_result=self._is_result)

    def write(self, text: Any) -> int:  # noqa: ANN401 - text or bytes
        """How much was written."""
        with self._handling_failure():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Hand everything to the system."""
        with self._handling_failure():
            self._stream.flush()

    @contextmanager
    def _handling_failure(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            # What is left in the stream's buffer would fail again when the process ends.
            with suppress(OSError, ValueError):
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, self._stream.fileno())
                os.close(null)
            if error.errno == errno.EPIPE:
                raise SystemExit(CLOSED_PIPE) from error
            if self._is_result:
                raise ResourceError(
                    f"standard output cannot be written: {error.strerror or error}",
                    "free some space or name another file, then run the same command again",
                ) from error


@contextmanager
def telling_what_stays(kept: str) -> Iterator[None]:
    """A context in which a result that cannot be shown is not the end of the world: `kept` says where it is."""
    try:
        yield
    except ResourceError as error:
        error.hint = kept
        raise


@dataclass
class Verbosity:
    """How much is said: `quiet` leaves only errors and data, `verbose` adds every choice and number, `debug` tracebacks
    and the warnings of libraries.
    """

    quiet: bool = False
    verbose: bool = False
    debug: bool = False

    def ask(self, *, quiet: bool = False, verbose: bool = False, debug: bool = False) -> None:
        """Take up what an option asks for, before or after the name of the command."""
        self.quiet, self.verbose, self.debug = self.quiet or quiet, self.verbose or verbose, self.debug or debug
        logging.captureWarnings(not self.debug)  # into the run's log, if there is one
        if not self.debug:  # torch has handlers of its own, which print; read as it is imported
            os.environ.setdefault("TORCH_LOGS", "-all")


verbosity = Verbosity()


def safe(text: object) -> str:
    """`text` for the terminal: control and direction characters made visible, rich markup switched off."""
    return escape("".join(f"\\u{ord(c):04x}" if unicodedata.category(c) in _STEERING else c for c in str(text)))


_WIDE = 100  # columns from which on every table fits
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
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
    sys.stdout.buffer.flush()


def say_wrapped(text: str, *, indent: int = 2, screen: Console = console, most_lines: int | None = None) -> None:
    """Print `text`, which may hold rich markup, broken between words and indented alike; one line without a terminal.

    Of more than `most_lines` the rest is left out, and the last ends with an ellipsis.
    """
    if verbosity.quiet and screen is console:
        return
    margin = " " * indent
    if not screen.is_terminal:
        screen.print(f"{margin}{text}", soft_wrap=True)
        return
    lines = list(Text.from_markup(text).wrap(screen, max(20, screen.width - indent)))
    if most_lines is not None and len(lines) > most_lines:
        lines = lines[:most_lines]
        lines[-1].rstrip()
        lines[-1].append(" …")
    for line in lines:
        line.rstrip()
        screen.print(Text(margin).append_text(line), soft_wrap=True)


def is_narrow() -> bool:
    """Whether a person looks at fewer columns than the widest tables need."""
    return out.is_terminal and out.width < _WIDE


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str | None = None) -> None:
    """A table on stdout, for people to read: no name is broken, and without a terminal each row is one line.

    The first column names what a row is about. Where it is long, a terminal shows its end, which tells files apart.
    """
    if not out.is_terminal:
        _print_lines([column.removesuffix("#") for column in columns], rows, columns=columns, title=title)
        return
    rows = list(rows)
    heads = [column.removesuffix("#") for column in columns[1:]]
    others = zip_longest(heads, *(row[1:] for row in rows), fillvalue="")  # a row may end early
    room = out.width - sum(2 + max(Text.from_markup(cell).cell_len for cell in column) for column in others)
    most = max(16, out.width // 2 - 4, room)
    table = new_table(columns, [(_shortened(first, most), *rest) for first, *rest in rows], title=title)
    table.columns[0].no_wrap = True
    out.print(table)


def _print_lines(
    head: Sequence[str], rows: Iterable[Sequence[str]], *, columns: Sequence[str], title: str | None
) -> None:
    """The table with a line for each row, however wide that is."""
    table = [[Text.from_markup(cell) for cell in row] for row in (*([head] if any(head) else []), *rows)]
    widths = [max((row[place].cell_len for row in table if place < len(row)), default=0) for place in range(len(head))]
    for line in [Text(title)] if title else []:
        out.print(line, soft_wrap=True)
    for row in table:
        for cell, width, column in zip(row, widths, columns, strict=False):
            cell.align("right" if column.endswith("#") else "left", width)
        line = Text("  ").join(row)
        line.rstrip()
        out.print(line, soft_wrap=True)


def _shortened(cell: str, most: int) -> str:
    """The end of a cell that is longer than `most` characters."""
    text = Text.from_markup(cell)
    return cell if text.cell_len <= most else Text("…").append_text(text[1 - most :]).markup


def duration(seconds: float) -> str:
    """A length of time in the two largest units that say something: 8 s, 2 min 5 s, 1 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {whole % 60} s"


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
