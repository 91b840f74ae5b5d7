"""Options that several commands share, each defined once."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class FailCause(StrEnum):
    """What a command can be told to end for."""

    leak = "leak"


Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
Device = Annotated[str | None, typer.Option(help="cuda, cuda:1, mps or cpu; chosen when not given.", metavar="DEVICE")]
Labels = Annotated[
    Path | None,
    typer.Option(
        help="A CSV with the columns file,label[,split][,group]; labels instead of label holds several, as cat;dog.",
        metavar="FILE",
        exists=False,
    ),
]
Boxes = Annotated[
    Path | None,
    typer.Option(
        help="A CSV with file,label,xmin,ymin,xmax,ymax,width,height to test the maps against.", metavar="FILE"
    ),
]
GroupBy = Annotated[
    str | None,
    typer.Option(
        help="What keeps photos in one part: a column of the labels, or a regular expression on file names (its first"
        " group, or else all it matches).",
        metavar="REGEX|COLUMN",
    ),
]
FailOn = Annotated[
    FailCause | None,
    typer.Option(help="End with code 3 where photos of two parts are the same, before anything is trained."),
]
Run = Annotated[
    Path | None, typer.Argument(help="A run folder; the latest finished run when not given.", metavar="RUN")
]
Workers = Annotated[
    int | None, typer.Option(help="Processes that load photos; chosen when not given.", min=0, metavar="N")
]
Offline = Annotated[
    bool, typer.Option("--offline", envvar="PCN_OFFLINE", help="Never use the network; weights come from the cache.")
]
Mirror = Annotated[
    str | None,
    typer.Option(envvar="PCN_MIRROR", help="Get published weights from this address instead.", metavar="URL"),
]


def examples(*lines: str) -> str:
    """The text below a command's help: one example per line."""
    return "Examples:\n\n" + "\n\n".join(f"  {line}" for line in lines)
