"""`pcn models`: the published weights, and those in the cache."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from pcn_cli.cli.complete import complete_card, complete_model, complete_run
from pcn_cli.cli.console import out, print_json, safe, say, show_table
from pcn_cli.cli.live import LiveProgress
from pcn_cli.cli.options import Json, Mirror, Offline, examples
from pcn_cli.errors import RecipeError, command

app = typer.Typer(
    name="models",
    no_args_is_help=True,
    help="List, get, import, verify and push weights.",
    epilog=examples("pcn models list", "pcn models get s60"),
)

Name = Annotated[
    str,
    typer.Argument(help="Short or full name, as in `pcn models list`.", metavar="NAME", autocompletion=complete_card),
]


@app.command("list", epilog=examples("pcn models list", "pcn models list --json"))
def list_models(json: Json = False) -> None:
    """List the models, with their size, input and published accuracy."""
    from pcn_cli.stages.models import list_models as list_cards

    cards = list_cards()
    if json:
        print_json(cards)
        return
    rows = [
        (
            f"[bold]{card['name']}[/bold]",
            str(card["input_size"]),
            f"{card['parameters'] / 1e6:.1f} M",
            f"{card['top1']:.1f}" if card["top1"] else "",
            f"{card['minimum_bytes'] / 1e6:,.0f} MB" if card["url"] else "inside" if card["bundled"] else "none",
            card["note"],
        )
        for card in cards
    ]
    show_table(("name", "input#", "parameters#", "top-1#", "download#", ""), rows)


@app.command("info", epilog=examples("pcn models info s60", "pcn models info s60 --json"))
def info(name: Name, json: Json = False) -> None:
    """Show what is known of a model, and whether its weights are here."""
    from pcn_cli.stages.models import describe_model

    card = describe_model(name)
    if json:
        print_json(card)
        return
    show_table(("", ""), [(f"[bold]{label}[/bold]", safe(value)) for label, value in _facts(card) if value])


@app.command(
    "get",
    epilog=examples(
        "pcn models get s60",
        "pcn models get s60 --mirror https://weights.example.org/deit",
        "pcn models get s60 --offline",
    ),
)
def get(name: Name, offline: Offline = False, mirror: Mirror = None, json: Json = False) -> None:
    """Download weights, verify them and keep them as safetensors; prints where they are.

    What is here already is compared with what the server has; a file with another hash is refused.
    """
    with LiveProgress() as callback:
        from pcn_cli.stages.models import get_model

        got = get_model(name, offline=offline, mirror=mirror, callback=callback)
    _show(got, json=json)


@app.command("import", epilog=examples("pcn models import s60_224_21k.pth", "pcn models import ./trained.pth s60"))
def import_weights(
    file: Annotated[Path, typer.Argument(help="A .pth in one of the published layouts.", metavar="FILE")],
    name: Annotated[
        str | None,
        typer.Argument(
            help="The model it is; otherwise told by the file's name, if it is a published one.", metavar="[NAME]"
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Convert a local weight file to safetensors in the cache; prints where it is."""
    from pcn_cli.stages.models import import_model

    _show(import_model(file, name), json=json)


@app.command(
    "verify",
    epilog=examples(
        "pcn models verify",
        "pcn models verify s60 --json",
        "pcn models verify runs/my_images-s60-1",
        "pcn models verify ./model --images ./my_images",
    ),
)
def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Cards, runs or model folders; all in the cache when none is given.",
            metavar="[NAME]",
            autocompletion=complete_model,
        ),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Where to look for a model's photos; otherwise in its run's.", metavar="DIR")
    ] = None,
    json: Json = False,
) -> None:
    """Check that models still are what they were; exits 4 where one is not.

    Published weights by their hash. A run or model folder scores up to 16 of its validation photos again, found by
    their content, or a made-up picture where there are none, and the scores are compared.
    """
    from pcn_cli.stages.models import refuse_damaged, verify_models

    checks = verify_models(names or [], images=images)
    if json:
        print_json(checks)
    elif checks:
        rows = []
        for check in checks:
            compared, difference = "hash", ""
            if check.get("largest_difference") is not None:
                photos = f"{check['photos']} of {check['known']} photos"
                compared = "a made-up picture" if check["synthetic"] else photos
                difference = f"{check['largest_difference']:.1e} (of {check['tolerance']:.0e})"
            row = (safe(check["name"]), check["state"], check["found"][:16], compared, difference)
            rows.append((*row, safe(check["path"])))
        show_table(("name", "state", "sha256", "compared", "largest difference#", "file"), rows)
    else:
        say("there are no weights in the cache yet; get some with `pcn models get s60`")
    refuse_damaged(checks)


@app.command(
    "push",
    epilog=examples("pcn models push runs/my_images-s60-1 anna/flowers", "pcn models push ./model anna/flowers --yes"),
)
def push(
    run: Annotated[str, typer.Argument(help="A run or a model folder.", metavar="RUN", autocompletion=complete_run)],
    repository: Annotated[str, typer.Argument(help="Its name on the Hugging Face Hub.", metavar="USER/NAME")],
    public: Annotated[bool, typer.Option("--public", help="A new repository may be seen by everybody.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Put a model on the Hugging Face Hub: shows what would leave this machine, and asks.

    No photo, no name of one and no path is sent. `--model hf:USER/NAME` fetches it again.
    """
    from pcn_cli.stages.hub import list_outgoing, push_model

    files = list_outgoing(run)
    if not yes:
        for one in files:
            say(f"{one.name}  {one.size:,} bytes: {one.words}")
        seen = "everybody may see it" if public else "private"
        if not sys.stdin.isatty():
            again = command("models", "push", run, repository, "--yes")
            raise RecipeError(f"this would leave the machine for {repository}, if somebody said yes", again)
        typer.confirm(f"Send these to {repository} on the Hugging Face Hub ({seen})?", abort=True, err=True)
    address = push_model(run, repository, public=public)
    if json:
        print_json({"url": address, "files": {one.name: one.size for one in files}})
    else:
        out.print(safe(address), soft_wrap=True)


def _show(got: dict[str, Any], *, json: bool) -> None:
    if got["note"]:
        say(safe(got["note"]))
    if json:
        print_json(got)
    else:
        out.print(safe(got["path"]), soft_wrap=True)


def _facts(card: dict[str, Any]) -> list[tuple[str, str]]:
    side, cache = card["input_size"], card["cache"]
    top1 = f"{card['top1']:.1f} % of ImageNet-1k, as published" if card["top1"] else "not published"
    if card["bundled"]:
        top1 = ""  # of other classes: the note has it
    size = f"width {card['embed_dim']}, depth {card['depth']}, " if "depth" in card else ""
    return [
        ("name", ", ".join([card["name"], *card["aliases"]])),
        ("full name", card["full_name"]),
        ("network", f"{size}{card['parameters']:,} parameters"),
        ("classes", f"{card['num_classes']:,}" + (", one class token each" if card["class_tokens"] else "")),
        ("input", f"{side} × {side}, crop {card['crop_pct']}, {card['interpolation']}"),
        ("mean, std", f"{card['mean']}, {card['std']}"),
        ("top-1", top1),
        ("measured here", _tell_measured(card["imagenet"])),
        ("from", card["url"] or ("the package itself" if card["bundled"] else "no weights")),
        ("bytes", f"at least {card['minimum_bytes']:,}" if card["url"] else ""),
        ("sha256", card["sha256"] or ("not published; recorded at first use" if card["url"] else "")),
        ("weights", f"{cache['state']}: {cache['path']}" if card["url"] or card["bundled"] else ""),
        ("licence", card["licence"]),
        ("paper", card["paper"]),
        ("note", card["note"]),
    ]


def _tell_measured(measured: dict[str, Any] | None) -> str:
    """The figures that `pcn evaluate CARD --record` kept, in a line."""
    if measured is None:
        return ""
    ways = (f"{one['top1']:.2f} % at crop {one['crop_pct']:g} in {one['precision']}" for one in measured["protocols"])
    return f"{', '.join(ways)}; {measured['photos']:,} photos"
