"""The pages of the report in the order of the navigation, each with all that belongs to it."""

from collections.abc import Callable
from dataclasses import dataclass

from pcn_cli.records.evaluation import Trust
from pcn_cli.records.predictions import Alike
from pcn_cli.report.model_card import view_card
from pcn_cli.report.pages.classes import view_classes, view_confusions
from pcn_cli.report.pages.confidence import view_confidence
from pcn_cli.report.pages.desk import desk_data, view_desk
from pcn_cli.report.pages.gallery import view_gallery
from pcn_cli.report.pages.health import view_health
from pcn_cli.report.pages.map import map_data, view_map
from pcn_cli.report.pages.overview import view_overview
from pcn_cli.report.pages.shift import view_shift
from pcn_cli.report.pages.training import view_training
from pcn_cli.report.view_model import ReportView

OUTCOMES = {"good": "✓ passes", "bad": "✕ fails", "open": "? open"}


@dataclass(frozen=True)
class Page:
    """One page: its address, its heading, and the values that templates/`name`.html is given as `view`.

    `view` gives None where the report has nothing for this page; it is then left out. `styles` and `scripts` are names
    in static/ beside those that all pages share. A page that is not `listed` has no place in the navigation. `data`
    gives what the page loads once it is opened, under its name, or None.
    """

    name: str
    title: str
    view: Callable[[ReportView], dict[str, object] | None]
    styles: tuple[str, ...] = ()
    scripts: tuple[str, ...] = ()
    listed: bool = True
    data: Callable[[ReportView], object] | None = None


def view_trust(report: ReportView) -> dict[str, object] | None:
    """What was checked of the maps over all pictures, each check as a question and a plain answer."""
    trust = report.content.artifacts.find(Trust)
    if trust is None or not trust.checks:
        return None
    return {
        "checks": [check for check in trust.checks if check.key != "even_look"],
        "sample": trust.sample,
        "outcomes": OUTCOMES,
        "passed": sum(check.outcome == "good" for check in trust.checks),
        "look_decides": report.content.look_decides,
    }


def view_reproduce(report: ReportView) -> dict[str, object] | None:
    """The command, the versions and the recipe that make this run again."""
    return {"reproduce": report.content.reproduce} if report.content.reproduce else None


def view_prediction(report: ReportView) -> dict[str, object]:
    """One picture, large, with its map and numbers; a dialog over the other pages."""
    maps = report.content.maps
    # Older runs, and those with several labels, did not measure what hiding patches does.
    return {
        "mapped": maps is not None,
        "hidden": maps is not None and maps.evidence is not None,
        "alike": bool(report.content.artifacts.rows(Alike)),
    }


PAGES = (
    Page("overview", "Overview", view_overview, styles=("overview",)),
    Page("gallery", "Gallery", view_gallery, styles=("gallery",), scripts=("query", "gallery")),
    Page("places", "Map", view_map, styles=("map",), scripts=("map",), data=map_data),
    Page("classes", "Classes", view_classes, styles=("classes",), scripts=("classes",)),
    Page("confusions", "Confusions", view_confusions),
    Page("confidence", "Confidence", view_confidence, styles=("confidence",), scripts=("confidence",)),
    Page("trust", "Trust", view_trust),
    Page("shift", "Shift", view_shift),
    Page("desk", "Desk", view_desk, styles=("desk",), scripts=("desk",), data=desk_data),
    Page("health", "Data health", view_health, styles=("health",)),
    Page("training", "Training", view_training),
    Page("card", "Model card", view_card),
    Page("reproduce", "Reproduce", view_reproduce),
    Page(
        "prediction",
        "Prediction",
        view_prediction,
        styles=("prediction",),
        scripts=("spreads", "choice", "hiding", "stage", "prediction", "keys"),
        listed=False,
    ),
)
