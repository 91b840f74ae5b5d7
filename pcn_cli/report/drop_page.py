"""The page of `pcn serve`, with the report's own drawing: one file, which asks for nothing but answers."""

from collections.abc import Sequence

from markupsafe import Markup

from pcn_cli.report.format import clean
from pcn_cli.report.page import hash_of, joined, page_templates

_SCRIPTS = ("data", "maps", "drop")
_STYLES = ("base", "gallery", "drop")


def render_drop_page(title: str, classes: Sequence[str], *, looks_evenly: bool) -> tuple[str, str]:
    """The page, and the Content-Security-Policy that it is to be sent with."""
    script = "(() => {\n'use strict';\n" + joined("js", _SCRIPTS) + "})();\n"
    style = joined("css", _STYLES)
    policy = (
        f"default-src 'none'; script-src {hash_of(script)}; style-src {hash_of(style)}; img-src blob: data:; "
        "media-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    html = (
        page_templates()
        .get_template("drop.html")
        .render(
            title=clean(title),
            classes=[clean(name) for name in classes],
            looks_evenly=looks_evenly,
            look="photo" if looks_evenly else "spotlight",
            script=Markup(script),  # noqa: S704 - our own file, free of markup
            style=Markup(style),  # noqa: S704 - our own file, free of markup
        )
    )
    return clean(html), policy
