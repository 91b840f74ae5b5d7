"""`pcn serve`: a page on this machine to drop photos on."""

import importlib.util
from typing import Annotated

import typer

from pcn_cli.cli.complete import complete_model
from pcn_cli.cli.console import out, say
from pcn_cli.cli.live import LiveProgress
from pcn_cli.cli.options import Device, LoadTruncated, Mirror, Offline, examples
from pcn_cli.errors import ResourceError

app = typer.Typer()


@app.command(epilog=examples("pcn serve", "pcn serve runs/my_images-s60-1 --open", "pcn serve nano --port 8000"))
def serve(
    run: Annotated[
        str | None,
        typer.Argument(
            help="A run, a model folder or a card; the latest run when not given.",
            metavar="RUN",
            autocompletion=complete_model,
        ),
    ] = None,
    port: Annotated[
        int, typer.Option(help="The port of 127.0.0.1; 0 is any that is free.", metavar="N", min=0, max=65535)
    ] = 0,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    load_truncated: LoadTruncated = False,
    device: Device = None,
    offline: Offline = False,
    mirror: Mirror = None,
) -> None:
    """Show a page on this machine to drop photos on: labels, probabilities and maps; Ctrl-C ends it."""
    missing = [name for name in ("starlette", "uvicorn") if importlib.util.find_spec(name) is None]
    if missing:
        raise ResourceError(f"the page needs {' and '.join(missing)}", "pip install 'pcn-cli[serve]'")
    from pcn_cli.stages.refusals import refuse_early

    named = [run] if run else []
    refuse_early(models=named, weights=named, device=device, offline=offline)
    from pcn_cli.stages.serve import serve as serve_model

    def show(address: str) -> None:
        out.print(address, soft_wrap=True, highlight=False)
        say("drop photos on that page; the address is the key to it. Ctrl-C ends it")
        if open_page:
            typer.launch(address)

    with LiveProgress() as callback:
        serve_model(
            run,
            port=port,
            load_truncated=load_truncated,
            device=device,
            offline=offline,
            mirror=mirror,
            callback=callback,
            on_ready=show,
        )
