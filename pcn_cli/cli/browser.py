"""A page in the person's browser, where there is a desktop to show it on."""

import os
import sys
import webbrowser
from pathlib import Path

from pcn_cli.cli.console import out, print_json, safe, say

_SCREENS = ("DISPLAY", "WAYLAND_DISPLAY")


def has_desktop() -> bool:
    """Whether a browser window would have a screen to appear on."""
    return sys.platform in ("win32", "darwin") or any(os.environ.get(name) for name in _SCREENS)


def tell_page(page: Path, *, json: bool, open_page: bool) -> None:
    """Say where a page was written, and show it where that is wished for."""
    if json:
        print_json({"report": str(page)})
    else:
        out.print(f"report: {safe(page)}", soft_wrap=True)
    if open_page:
        open_in_browser(page)


def open_in_browser(page: Path) -> None:
    """Open a page that lies on the disk; where that cannot be, say what to do instead."""
    if not (has_desktop() and webbrowser.open(page.resolve().as_uri())):
        say(
            f"there is no desktop here to open it on; copy {safe(page.parent)} to one, and open {safe(page.name)} there"
        )
