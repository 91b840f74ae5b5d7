"""Can you trust the maps? What was checked of them over all pictures, each check as a question and a plain answer."""

from pcn_cli.report.pages.page import Page
from pcn_cli.report.view_model import Draft

OUTCOMES = {"good": "✓ passes", "bad": "✕ fails", "open": "? open"}


def view_trust(draft: Draft) -> dict[str, object] | None:
    """The values of templates/trust.html; None where nothing was checked."""
    trust = draft.content.trust
    if trust is None or not trust.checks:
        return None
    return {
        "checks": trust.checks,
        "sample": trust.sample,
        "outcomes": OUTCOMES,
        "passed": sum(check.outcome == "good" for check in trust.checks),
        "look_decides": draft.content.look_decides,
    }


TRUST = Page(name="trust", title="Trust", view=view_trust)
