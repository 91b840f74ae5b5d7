"""Gallery: every prediction, filtered, sorted, page by page."""

from pcn_cli.report.pages.page import Page
from pcn_cli.report.view_model import Draft

MOST_CHOICES = 80  # above this, two lists of all class names would be too long to use and to hold


def view_gallery(draft: Draft) -> dict[str, object]:
    """The values of templates/gallery.html."""
    rows = draft.rows
    return {
        "labels": sorted({name for row in rows.all for name in row.labels or ()}),
        "predicted": sorted({name for row in rows.all for name in row.answers}),
        "most_choices": MOST_CHOICES,
        "front": rows.front,
        "mapped": bool(draft.content.looks),
        "hidden": any(row.hiding for row in rows.all),
    }


GALLERY = Page(name="gallery", title="Gallery", view=view_gallery)
