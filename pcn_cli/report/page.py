"""index.html from templates: everything escaped, nothing run but our own script, nothing fetched."""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from functools import cache

from jinja2 import Environment, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from pcn_cli.report.format import HERE, clean, new_environment
from pcn_cli.report.pages.index import PAGES
from pcn_cli.report.view_model import ReportView

# What all pages share; their own come after it, and the last of each after those.
SCRIPTS = ("theme", "data", "address", "filters", "decisions", "maps", "signed", "tiles", "tables", "copy")
STYLES = ("base", "tables")


def render_page(
    report: ReportView, *, blocks: Mapping[str, str] | None = None, pictures: Mapping[str, str] | None = None
) -> str:
    """The whole index.html.

    A page that stands alone is given the data by name, as `page_data.as_block` writes it, as `blocks`, and data URIs of
    the report's `pictures` by their paths.
    """
    own_scripts = [name for page in PAGES for name in page.scripts]
    own_styles = [name for page in PAGES for name in page.styles]
    script = "(() => {\n'use strict';\n" + joined("js", (*SCRIPTS, *own_scripts, "pages")) + "})();\n"
    style = joined("css", (*STYLES, *own_styles, "print"))
    # Nothing but the inline script and style and files of this folder, where the page has one; file: beside 'self', for
    # browsers in which a page opened from disk has no origin of its own.
    own = " 'self' file:" if blocks is None else ""
    policy = (
        f"default-src 'none'; script-src {hash_of(script)}{own}; style-src {hash_of(style)}; img-src{own} data:; "
        "base-uri 'none'; form-action 'none'"
    )
    template = page_templates().get_template("index.html")
    html = template.render(
        report=report,
        content=report.content,
        rows=report.rows,
        title=clean(report.content.title),
        pages=[(page, view) for page in PAGES if (view := page.view(report)) is not None],
        policy=policy,
        pictures=pictures or {},
        blocks={name: Markup(text) for name, text in (blocks or {}).items()},  # noqa: S704 - JSON free of markup
        script=Markup(script),  # noqa: S704 - our own file, free of markup
        style=Markup(style),  # noqa: S704 - our own file, free of markup
    )
    return clean(html)


def render_alone(template: str, *, styles: Iterable[str], scripts: Iterable[str], **values: object) -> str:
    """A page of one file beside the reports, such as a comparison: it holds its style, script and pictures itself."""
    style, script = joined("css", styles), "(() => {\n'use strict';\n" + joined("js", scripts) + "})();\n"
    rest = "img-src data:; base-uri 'none'; form-action 'none'"
    html = (
        page_templates()
        .get_template(template)
        .render(
            policy=f"default-src 'none'; script-src {hash_of(script)}; style-src {hash_of(style)}; {rest}",
            style=Markup(style),  # noqa: S704 - our own files, free of markup
            script=Markup(script),  # noqa: S704 - our own files, free of markup
            **values,
        )
    )
    return clean(html)


@cache
def page_templates() -> Environment:
    """The templates of all pages, each compiled once in a process."""
    environment = new_environment()
    environment.filters["source"] = _find_picture
    return environment


@pass_context
def _find_picture(context: Context, path: str) -> str:
    """Where a page finds a picture of the report: at its path, or as a data URI in a page that stands alone."""
    return str(context["pictures"].get(path, path))


def hash_of(text: str) -> str:
    """A script or style in the words of a content security policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}'"


def joined(kind: str, names: Iterable[str]) -> str:
    """Our own scripts or styles of these names, one after the other; `kind` is js or css."""
    return "".join((HERE / "static" / f"{name}.{kind}").read_text(encoding="utf-8") for name in names)
