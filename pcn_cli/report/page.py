"""index.html from templates: everything escaped, nothing run but our own script, nothing fetched."""

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pcn_cli.report import format as words
from pcn_cli.report.pages.index import PAGES
from pcn_cli.report.view_model import Draft

HERE = Path(__file__).parent
SCRIPTS = (
    "data",
    "address",
    "marks",
    "decisions",
    "maps",
    "signed",
    "tiles",
    "gallery",
    "classes",
    "spreads",
    "choice",
    "hiding",
    "stage",
    "prediction",
    "tables",
    "confidence",
    "pages",
)
STYLES = ("base", "overview", "gallery", "classes", "prediction", "tables", "confidence", "health", "print")


def render_page(
    draft: Draft, *, blocks: Mapping[str, str] | None = None, pictures: Mapping[str, str] | None = None
) -> str:
    """The whole index.html.

    Args:
        draft: what it shows.
        blocks: the data by chunk name, as `chunks.block` writes it, for a page that stands alone.
        pictures: data URIs of the report's pictures by their paths, for such a page.
    """
    given = pictures or {}
    script = "(() => {\n'use strict';\n" + _joined("js", SCRIPTS) + "})();\n"
    style = _joined("css", STYLES)
    views = [(page, page.view(draft)) for page in PAGES]
    html = (
        _environment(given)
        .get_template("index.html")
        .render(
            draft=draft,
            content=draft.content,
            rows=draft.rows,
            title=words.clean(draft.content.title),
            pages=[(page, view) for page, view in views if view is not None],
            policy=_policy(script, style, alone=blocks is not None),
            blocks={name: Markup(text) for name, text in (blocks or {}).items()},  # noqa: S704 - JSON free of markup
            script=Markup(script),  # noqa: S704 - our own file, free of markup
            style=Markup(style),  # noqa: S704 - our own file, free of markup
        )
    )
    return words.clean(html)


def _policy(script: str, style: str, *, alone: bool) -> str:
    """The Content-Security-Policy: one inline script and style by hash, files of this folder, and nothing else.

    A page that stands alone has no folder.
    """
    # file: beside 'self', for browsers in which a page opened from disk has no origin of its own.
    own = "" if alone else " 'self' file:"
    return (
        f"default-src 'none'; script-src {_hash(script)}{own}; style-src {_hash(style)}; img-src{own} data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}'"


def _joined(kind: str, names: tuple[str, ...]) -> str:
    return "".join((HERE / "static" / f"{name}.{kind}").read_text(encoding="utf-8") for name in names)


def _environment(pictures: Mapping[str, str]) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": words.percent,
        "number": words.number,
        "hide_paths": words.hide_paths,
        "source": lambda path: pictures.get(path, path),
        "metric_title": words.metric_title,
    }
    environment.globals |= {
        "measured": words.measured,
        "interval": words.interval,
        "plural": words.plural,
        "gallery_link": words.gallery_link,
    }
    return environment
