"""Everything that can go wrong and is not a bug of ours: one family, one exit code per kind."""

import shlex
from pathlib import PurePath
from reprlib import Repr
from signal import SIGINT


class PcnError(Exception):
    """A problem a person can act on.

    Args:
        message: what was found, with names and numbers.
        hint: the command or change that helps; empty when there is none.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class RecipeError(PcnError):
    """The recipe or a flag cannot be followed."""

    exit_code = 2


class DataError(PcnError):
    """The photos cannot be used as they are."""

    exit_code = 3


class ModelError(PcnError):
    """A model file was refused, is damaged or does not fit."""

    exit_code = 4


class DownloadError(PcnError):
    """A download failed; trying again may help."""

    exit_code = 5


class ResourceError(PcnError):
    """Disk, memory, permission or device is missing."""

    exit_code = 6


class DivergedError(PcnError):
    """Training produced numbers that are not finite."""

    exit_code = 7


class RunError(PcnError):
    """A run folder is missing, in use, or belongs to something else."""

    exit_code = 8


class RankError(ResourceError):
    """One of several processes ended, and the work with it; its exit code is that of all."""

    def __init__(self, message: str, hint: str = "", *, exit_code: int = ResourceError.exit_code) -> None:
        super().__init__(message, hint)
        self.exit_code = exit_code


class StoppedError(BaseException):
    """Somebody asked us to stop; the work so far is saved. The signal decides the exit code.

    Like KeyboardInterrupt it is no Exception: it may arise anywhere, and whoever takes every error of a decoder for a
    damaged photo must not take this for one.
    """

    def __init__(self, message: str, hint: str = "", *, signal_number: int = SIGINT) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = 128 + int(signal_number)


def command(*words: object) -> str:
    """`pcn` with these words as they can be typed into a shell, for hints."""
    # A path that begins with a dash would be taken for an option.
    return shlex.join(["pcn", *(f"./{word}" if _is_dashed(word) else str(word) for word in words)])


def _is_dashed(word: object) -> bool:
    return isinstance(word, PurePath) and str(word).startswith("-")


def shown(value: object) -> str:
    """`value` as a message shows it: as Python writes it, cut where it is long or deep."""
    return _SHORT.repr(value)


_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = 200
