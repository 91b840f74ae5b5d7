"""Prediction: one picture, large, with its map and numbers; a dialog over the other pages."""

from pcn_cli.report.pages.page import Page
from pcn_cli.report.view_model import Draft


def view_prediction(draft: Draft) -> dict[str, object]:
    """The values of templates/prediction.html."""
    return {"mapped": bool(draft.content.looks), "hidden": bool(draft.content.hidden)}


PREDICTION = Page(name="prediction", title="Prediction", view=view_prediction, listed=False)
