"""Photos: how many of each class went where, which files could not be used, which labels to look at."""

from pcn_cli.report.draft import Draft
from pcn_cli.report.pages.page import Page
from pcn_cli.report.words import clean, display_names, hide_paths

MOST_FILES = 200
MOST_CLASSES = 100
MOST_SUSPECTS = 50


def view_photos(draft: Draft) -> dict[str, object] | None:
    """The values of templates/photos.html; None where nothing is known of the photos."""
    scan, missing, suspects = draft.content.scan, draft.without_picture, draft.content.suspects
    if scan is None and not missing and not suspects:
        return None
    unreadable = scan.unreadable if scan else ()
    shown = display_names([entry.file for entry in unreadable])
    parts = {name: {clean(k): n for k, n in counts.items()} for name, counts in (scan.parts if scan else {}).items()}
    names = sorted({name for counts in parts.values() for name in counts})
    return {
        "parts": parts,
        "names": names[:MOST_CLASSES],
        "photos": scan.photos or {name: sum(counts.values()) for name, counts in parts.items()} if scan else {},
        "totals": {name: sum(counts.get(name, 0) for counts in parts.values()) for name in names},
        "more_names": max(0, len(names) - MOST_CLASSES),
        "unreadable": [(f, hide_paths(e.reason)) for f, e in zip(shown, unreadable, strict=True)][:MOST_FILES],
        "unreadable_count": len(unreadable),
        "ignored": scan.ignored if scan else 0,
        "suspects": [
            (file, one.split, clean(one.label), clean(one.suggested), one.p_label, one.p_suggested)
            for file, one in zip(display_names([one.file for one in suspects]), suspects, strict=True)
        ][:MOST_SUSPECTS],
        "suspects_count": len(suspects),
        "missing": [row.file for row in missing[:MOST_FILES]],
        "missing_count": len(missing),
    }


PHOTOS = Page(name="photos", title="Photos", view=view_photos)
