"""`pcn doctor`: is everything there that pcn needs?"""

import typer

from pcn_cli.cli.console import print_json, safe, show_table
from pcn_cli.cli.live import LiveProgress
from pcn_cli.cli.options import Json, examples

app = typer.Typer()


@app.command(epilog=examples("pcn doctor", "pcn doctor --json"))
def doctor(json: Json = False) -> None:
    """Check the installation: versions, devices, memory, caches, and packages that get in the way."""
    with LiveProgress():
        from pcn_cli.stages.doctor import examine

        checks = examine()
    if json:
        print_json([{"name": check.name, "ok": check.ok, "found": check.found} for check in checks])
    else:
        marks = {True: "[green]ok[/green]", False: "[red]bad[/red]"}
        rows = [(marks[check.ok], safe(check.name), safe(check.found)) for check in checks]
        show_table(("", "check", "found"), rows)
    if not all(check.ok for check in checks):
        raise typer.Exit(1)
