"""Training: the curves, what was compared and kept, and a row per epoch."""

from pcn_cli.report.pages.page import Page
from pcn_cli.report.view_model import Draft


def view_training(draft: Draft) -> dict[str, object] | None:
    """The values of templates/training.html; None where nothing was trained or drawn."""
    content = draft.content
    # The page has its own confusion matrix, whose cells open.
    figures = [figure for figure in draft.figures if not figure.name.startswith("confusion")]
    if not (figures or content.history or content.candidates):
        return None
    return {"figures": figures, "candidates": content.candidates, "history": content.history}


TRAINING = Page(name="training", title="Training", view=view_training)
