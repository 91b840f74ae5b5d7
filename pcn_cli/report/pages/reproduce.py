"""Reproduce: the command, the versions and the recipe that make this run again."""

from pcn_cli.report.pages.page import Page
from pcn_cli.report.view_model import Draft


def view_reproduce(draft: Draft) -> dict[str, object] | None:
    """The values of templates/reproduce.html; None where it is not known how the run was made."""
    return {"reproduce": draft.content.reproduce} if draft.content.reproduce else None


REPRODUCE = Page(name="reproduce", title="Reproduce", view=view_reproduce)
