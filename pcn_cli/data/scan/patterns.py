"""What a regular expression takes from the names of files: their group, or their class."""

import re
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import PurePosixPath

from pcn_cli.errors import RecipeError

_SECONDS, _EACH = 3.0, 5e-5  # of computing, together and for each name: a hundred times what the usual patterns take


def match_names(files: Sequence[str], pattern: str, *, flag: str, hint: str, also: str = "") -> list[str | None]:
    """What the pattern finds in each name: its first capture group, or else the whole match; None where it is nothing.

    A pattern with a slash sees the path below the photos folder, any other the file's name alone.

    Raises:
        RecipeError: it is no regular expression, matches no name, or does not come to an end with one; the message
            names the `flag`, and what `also` was looked for.
    """
    try:
        search = re.compile(pattern).search
    except (re.error, OverflowError, RecursionError) as error:
        raise RecipeError(f"{flag} {pattern}:{also} no regular expression: {error}", hint) from error
    names = files if "/" in pattern else [PurePosixPath(file).name for file in files]
    found = list[str | None]()
    try:
        with _ending_after(_SECONDS + _EACH * len(names)):
            for name in names:
                match = search(name)
                # A capture group that took no part in the match says None.
                text = next((text for text in match.groups()[:1] if text is not None), match[0]) if match else None
                found.append(text or None)
    except TimeoutError as error:
        simpler = "repeat nothing that is itself repeated: (a+)+ finds what a+ does, and tries each way to divide it"
        raise RecipeError(f"{flag} {pattern}: takes too long to look through {files[len(found)]}", simpler) from error
    if found and not any(found):
        raise RecipeError(f"{flag} {pattern}: matches{also} no file name, such as {names[0]}", hint)
    return found


@contextmanager
def _ending_after(seconds: float) -> Iterator[None]:
    """A context that a TimeoutError ends after so much computing; without an end outside of the main thread.

    A search listens to nothing but signals, which Python delivers to the main thread alone.
    """

    def end(*_: object) -> None:
        raise TimeoutError

    try:
        before = signal.signal(signal.SIGVTALRM, end)
    except ValueError:
        yield
        return
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
