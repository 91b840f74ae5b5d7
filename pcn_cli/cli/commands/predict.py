"""`pcn predict`: labels, probabilities and overlays for new photos."""

import os
import sys
from collections import Counter
from inspect import signature
from pathlib import Path
from typing import Annotated, Any

import typer

from pcn_cli.cli.console import console, is_narrow, out, print_json, safe, say, show_table, write_out
from pcn_cli.cli.live import LiveProgress
from pcn_cli.cli.options import Json, examples, predict_options
from pcn_cli.data.image_paths import refuse_missing
from pcn_cli.errors import DataError, RecipeError, ResourceError, command
from pcn_cli.files.atomic import csv_line
from pcn_cli.files.machine import importing
from pcn_cli.recipe.schema import PREDICT, show_options
from pcn_cli.records.photos import TRUNCATED, join_labels

_MOST_NAMED = 3
_OF_QUEUE = ("model", "device", "offline", "mirror")
_EXPORTED = (".onnx", ".xml")
app = typer.Typer()


def predict(
    images: Annotated[
        list[str], typer.Argument(help="Photos, folders, globs; - reads a list from standard input.", metavar="IMAGE")
    ],
    *,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the result as CSV on standard output.")] = False,
    json: Json = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="End with code 3 where even one photo could not be read.")
    ] = False,
    queue: Annotated[
        int | None,
        typer.Option(
            help="Choose the N photos of a folder that are worth a label first, as a desk.", min=1, metavar="N"
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="The run folder of the queue; needs --queue.", metavar="RUN")
    ] = None,
    **options: Any,  # noqa: ANN401 - many types
) -> None:
    """Name what is on each photo, and show where the decision came from."""
    from pcn_cli.stages.refusals import refuse_early

    if json and as_csv:
        raise RecipeError("--json and --csv were both given", "choose one")
    models = [options["model"]] if options["model"] else []
    refuse_early(models=models, weights=models, device=options["device"], offline=options["offline"])
    _refuse_idle_mirror(options["mirror"], options["model"])
    if queue is not None:
        if strict:
            raise RecipeError("--strict has no effect with --queue", "leave one of the two out")
        _show_queue(images, queue, output, options, json=json, as_csv=as_csv)
        return
    if output is not None:
        raise RecipeError("--output has no effect without --queue", "add --queue 200")
    named: list[str] = []
    for image in images:
        if image == "-":  # a list on standard input, a name per line in whatever bytes
            if sys.stdin is None:
                raise ResourceError(
                    "standard input is closed, so it holds no list", "find . -name '*.jpg' | pcn predict -"
                )
            lines = (line.removesuffix(b"\r") for line in sys.stdin.buffer.read().split(b"\n"))
            named += [os.fsdecode(line) for line in lines if line]
        else:
            named.append(image)
    refuse_missing(named)
    with LiveProgress() as callback:
        with importing():
            if Path(options["model"] or "").suffix.lower() in _EXPORTED:  # then there is no torch to wait for
                from pcn_cli.stages.exported.predict import predict_exported as predict_images
            else:
                from pcn_cli.stages.predict import predict as predict_images

        answers = predict_images(named, callback=callback, **options)
    if json:
        print_json(answers)
    elif as_csv:
        write_out("".join(csv_line(row) for row in _csv_rows(answers, top=options["top"])))
    elif options["sort_into"] is not None and out.is_terminal:
        _show_copies(answers)
    else:
        _show(answers)
    if options["overlay"] is not None:
        say(f"overlays: {safe(options['overlay'])}")
    if options["sort_into"] is not None:
        copied = sum(not answer["error"] for answer in answers)
        say(f"{copied:,} {'photo' if copied == 1 else 'photos'} sorted into {safe(options['sort_into'])}")
    _tell_unread(answers, strict=strict)


def _show_queue(
    images: list[str], count: int, output: Path | None, options: dict[str, Any], *, json: bool, as_csv: bool
) -> None:
    """Make the queue of a folder, and say where it lies and what comes next."""
    if (boxes := options["crop_boxes"]) is not None:
        by = ("--model", options["model"]) if options["model"] else ()
        raise RecipeError(
            "--crop-boxes has no effect with --queue, which takes whole photos: it adds photos with one label to a"
            " training, and the boxes of one photo could come into two parts",
            f"{command('predict', *images, '--queue', count, *by)}, or how sure the model is of each box: "
            f"{command('predict', *images, '--crop-boxes', boxes, *by, '--csv')}",
        )
    for name, option in PREDICT.items():
        if name not in _OF_QUEUE and options[name] != option.default:
            raise RecipeError(f"{option.flag_name} has no effect with --queue", "leave one of the two out")
    if len(images) > 1 or images == ["-"]:
        raise RecipeError("--queue takes one folder of photos", "pcn predict ./new_photos --queue 200")
    with LiveProgress() as callback:
        from pcn_cli.stages.queue import queue_photos

        made = queue_photos(
            images[0], count, model=options["model"], output=output, device=options["device"], callback=callback
        )
    if json:
        cards = [{"file": card.file, "looks_like": card.looks_like, "why": card.why} for card in made.desk.cards]
        print_json({"run": str(made.run.root), "report": str(made.report), "queue": cards})
    elif as_csv:
        write_out(made.run.queue.read_text(encoding="utf-8", errors="surrogateescape"))
    else:
        count = len(made.desk.cards)
        out.print(f"{count:,} {'photo is' if count == 1 else 'photos are'} worth a label first", soft_wrap=True)
        out.print(f"  decide on the page Desk of {safe(made.report)}", soft_wrap=True)
        out.print(f"  or in Label Studio with {safe(made.run.label_studio)}", soft_wrap=True)
        out.print(f"  then {safe(made.desk.command)}", soft_wrap=True)


def _tell_unread(answers: list[dict[str, Any]], *, strict: bool) -> None:
    """Say on standard error which images have no answer: scripts see only that; an error where that is all, or strict.

    Raises:
        DataError: no image could be read, or not all of them and that is `strict`.
    """
    unread = [f"{answer['file']} ({answer['error']})" for answer in answers if answer["error"]]
    if not unread:
        return
    more = f", and {len(unread) - _MOST_NAMED:,} more" if len(unread) > _MOST_NAMED else ""
    found = f"{len(unread):,} of {len(answers):,} images could not be read: {', '.join(unread[:_MOST_NAMED])}{more}"
    if any((answer["error"] or "").startswith(TRUNCATED) for answer in answers):
        found += "; --load-truncated answers truncated ones by what is there"
    if len(unread) == len(answers):
        raise DataError(found, "name photos that `pcn inspect` can read")
    if strict:
        raise DataError(found, "the others are answered; leave --strict out to end with code 0")
    console.print(f"[bold]warning:[/bold] {safe(found)}", soft_wrap=True)


_images, _as_csv, _json, _strict, _queue, _output, _ = signature(predict).parameters.values()
app.command(
    epilog=examples(
        "pcn predict img.jpg",
        "pcn predict ./new_photos --overlay ./maps --csv > labels.csv",
        "pcn predict img.jpg --overlay ./maps --map evidence",
        "pcn predict ./new_photos --queue 200",
        "pcn predict ./new_photos --min-confidence 0.9 --sort-into ./sorted",
        "find . -name '*.jpg' | pcn predict - --json",
    ),
)(show_options(predict, (_images, *predict_options(), _queue, _output, _strict, _as_csv, _json)))


def _refuse_idle_mirror(mirror: str | None, model: str | None) -> None:
    # The variable may stand in the environment for other commands; only the flag is a wish.
    asked = mirror is not None and mirror != os.environ.get("PCN_MIRROR")
    if asked and (model is None or Path(model).exists()):
        raise RecipeError(
            f"--mirror has no effect with {model or 'the latest run'}, which is on this disk",
            "leave --mirror out, or name a published model with --model",
        )


def _show(answers: list[dict[str, Any]]) -> None:
    """A line per photo: its label, or every one that reaches its threshold, and the most probable others."""
    from pcn_cli.stages.answers import UNLIKE, UNSURE

    several = any("labels" in answer for answer in answers)
    columns, rows = ("photo", *(("labels",) if several else ("label", "confidence#")), "then"), []
    more = 1 if is_narrow() else 2  # guesses beside the first: a photo is one line
    for answer in answers:
        mark = " *" if answer.get("reason") == UNLIKE else ""
        if answer["error"]:
            reason = f"[red]{safe(answer['error'])}[/red]"
            cells = ["[red]unreadable[/red]", reason] if several else ["[red]unreadable[/red]", "", reason]
        elif several:
            given = [guess["label"] for guess in answer["labels"]]
            others = [guess for guess in answer["top"] if guess["label"] not in given]
            cells = [_guesses(answer["labels"]) or "none", _guesses(others[:more])]
        elif answer["unknown"]:
            # A confidence beside the word would read as that of knowing nothing.
            cells = [safe(answer["label"]) + mark, "", f"perhaps {_guesses(answer['top'][:more])}"]
        else:
            confidence, then = f"{answer['confidence']:.1%}", _guesses(answer["top"][1 : 1 + more])
            cells = [safe(answer["label"]) + mark, confidence, then]
        rows.append((safe(answer["file"]), *cells))
    show_table(columns, rows)
    if unsure := sum(bool(answer.get("unknown")) and answer["reason"] == UNSURE for answer in answers):
        say(f"unknown, {unsure:,} of {len(answers):,}: not sure enough to be answered; the best guess stands behind")
    if strange := sum(answer.get("reason") == UNLIKE for answer in answers):
        say(f"* {UNLIKE}, {strange:,} of {len(answers):,}: such a label means little")
    if several and any("least" in guess for answer in answers for guess in answer["top"]):
        say("each label is given from its own threshold on; what falls short needs what stands behind it")


def _show_copies(answers: list[dict[str, Any]]) -> None:
    """How many photos went into each sub-folder, and which could not be read."""
    counts = Counter(answer["label"] for answer in answers if not answer["error"])
    show_table(("folder", "photos#"), [(safe(label), f"{counts[label]:,}") for label in sorted(counts)])


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _guesses(guesses: list[dict[str, Any]]) -> str:
    return ", ".join(f"{safe(guess['label'])} {guess['p']:.1%}{_short_of(guess)}" for guess in guesses)


def _short_of(guess: dict[str, Any]) -> str:
    """The threshold that a label of several does not reach."""
    least = guess.get("least")
    return f" (needs {least:.1%})" if least is not None and guess["p"] < least else ""


def _csv_rows(answers: list[dict[str, Any]], *, top: int) -> list[list[Any]]:
    ranks = range(1, min(top, max((len(answer["top"]) for answer in answers), default=0)) + 1)
    several = any("labels" in answer for answer in answers)
    own = ["labels", "confidence", "unlike"] if several else ["label", "confidence", "unknown", "reason", "unlike"]
    rows: list[list[Any]] = [["file", *own, *(f"{word}_{r}" for r in ranks for word in ("label", "p")), "error"]]
    for answer in answers:
        guesses = [cell for guess in answer["top"] for cell in (guess["label"], guess["p"])]
        guesses += [""] * (2 * len(ranks) - len(guesses))
        if several:
            given = [join_labels(guess["label"] for guess in answer["labels"]), answer["confidence"] or ""]
            given.append(_ratio(answer["unlike"]))
        else:
            given = [answer["label"] or "", answer["confidence"] or "", int(answer["unknown"])]
            given += [answer["reason"], _ratio(answer["unlike"])]
        rows.append([answer["file"], *given, *guesses, answer["error"] or ""])
    return rows
