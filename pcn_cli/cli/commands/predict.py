"""`pcn predict`: labels, probabilities and overlays for new photos."""

import csv
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from pcn_cli.cli.console import new_table, out, print_json, safe, say
from pcn_cli.cli.live import LiveListener
from pcn_cli.cli.options import Device, Json, Offline, examples
from pcn_cli.errors import DataError, RecipeError
from pcn_cli.files.atomic import disarm_cell


class Look(StrEnum):
    """How an overlay is drawn."""

    spotlight = "spotlight"
    heat = "heat"
    contour = "contour"


def add_to(app: typer.Typer) -> None:
    """Give `app` the command."""
    app.command(
        "predict",
        epilog=examples(
            "pcn predict img.jpg",
            "pcn predict ./new_photos --overlay ./maps --csv > labels.csv",
            "find . -name '*.jpg' | pcn predict - --json",
        ),
    )(predict)


def predict(
    images: Annotated[
        list[str], typer.Argument(help="Photos, folders, globs; - reads a list from standard input.", metavar="IMAGE…")
    ],
    model: Annotated[
        str | None, typer.Option(help="A run, a model folder, a weight file or a card; otherwise the latest run.")
    ] = None,
    top: Annotated[int, typer.Option(help="How many labels to name.", min=1, metavar="K")] = 5,
    overlay: Annotated[
        Path | None, typer.Option(help="Draw where the network looked into this folder.", metavar="DIR")
    ] = None,
    look: Annotated[Look, typer.Option(help="How overlays are drawn; needs --overlay.")] = Look.spotlight,
    sort_into: Annotated[
        Path | None, typer.Option(help="Copy each photo into a sub-folder of DIR named by its label.", metavar="DIR")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Photos per forward pass.", min=1, metavar="N")] = 32,
    device: Device = None,
    offline: Offline = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the result as CSV on standard output.")] = False,
    json: Json = False,
) -> None:
    """Name what is on each photo, and show where the decision came from."""
    from pcn_cli.stages.predict import predict as predict_images

    if json and as_csv:
        raise RecipeError("--json and --csv were both given", "choose one")
    if look is not Look.spotlight and overlay is None:
        raise RecipeError(f"--look {look} has no effect without --overlay", "add --overlay DIR")
    with LiveListener() as listener:
        answers = predict_images(
            _named_images(images),
            model=model,
            top=top,
            overlay=overlay,
            look=look.value,
            sort_into=sort_into,
            batch_size=batch_size,
            device=device,
            offline=offline,
            listener=listener,
        )
    if json:
        print_json(answers)
    elif as_csv:
        _write_csv(answers, top=top)
    else:
        _show(answers)
    if overlay is not None:
        say(f"overlays: {safe(overlay)}")
    if all(answer["error"] for answer in answers):
        raise DataError("none of the images could be read", "see the reasons above")


def _named_images(images: list[str]) -> list[str]:
    if images == ["-"]:
        listed = [line.rstrip("\n") for line in sys.stdin]
        return [line for line in listed if line]
    return images


def _show(answers: list[dict[str, Any]]) -> None:
    table = new_table("photo", "label", "confidence#", "next")
    for answer in answers:
        if answer["error"]:
            table.add_row(safe(answer["file"]), f"[red]unreadable: {safe(answer['error'])}[/red]", "", "")
        else:
            others = ", ".join(f"{safe(guess['label'])} {guess['p']:.1%}" for guess in answer["top"][1:3])
            table.add_row(safe(answer["file"]), safe(answer["label"]), f"{answer['confidence']:.1%}", others)
    out.print(table)


def _write_csv(answers: list[dict[str, Any]], *, top: int) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    ranks = range(1, min(top, max((len(answer["top"]) for answer in answers), default=0)) + 1)
    writer.writerow(
        ["file", "label", "confidence", *(f"{word}_{r}" for r in ranks for word in ("label", "p")), "error"]
    )
    for answer in answers:
        guesses = [cell for guess in answer["top"] for cell in (guess["label"], guess["p"])]
        guesses += [""] * (2 * len(ranks) - len(guesses))
        row = [answer["file"], answer["label"] or "", answer["confidence"] or "", *guesses, answer["error"] or ""]
        writer.writerow([disarm_cell(cell) for cell in row])
