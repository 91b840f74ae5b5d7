"""The pages of the report in the order of the navigation, each with all that belongs to it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite

from pcn_cli.records.evaluation import LearningCurve, Trust
from pcn_cli.records.metrics import Trunks
from pcn_cli.records.predictions import Alike
from pcn_cli.records.run import EpochRow
from pcn_cli.report.model_card import view_card
from pcn_cli.report.pages.classes import view_classes, view_confusions
from pcn_cli.report.pages.confidence import view_confidence
from pcn_cli.report.pages.desk import desk_data, view_desk
from pcn_cli.report.pages.gallery import view_gallery
from pcn_cli.report.pages.health import view_health
from pcn_cli.report.pages.map import map_data, view_map
from pcn_cli.report.pages.overview import view_overview
from pcn_cli.report.pages.shift import view_shift
from pcn_cli.report.view_model import ReportView

DRAWN = ("confusion", "per_class", "history")
WIDE, HIGH = 420, 200  # of a chart, in its own units
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


def draw_losses(history: Sequence[EpochRow]) -> list[dict[str, object]]:
    """For each phase its training and validation loss over the epochs, as points of a chart from 0 to the largest."""
    charts = []
    for phase in dict.fromkeys(row.phase for row in history):
        own = [row for row in history if row.phase == phase]
        lines = {
            "training": [row.train_loss for row in own],
            "validation": [row.val_loss for row in own],
        }
        top = max((loss for line in lines.values() for loss in line if isfinite(loss)), default=0) or 1.0
        step = WIDE / max(len(own) - 1, 1)
        charts.append(
            {
                "phase": phase,
                "epochs": len(own),
                "top": top,
                "best": min(range(len(own)), key=lambda place: own[place].val_loss) * step,
                "lines": [
                    (name, " ".join(f"{step * at:.1f},{HIGH * (1 - loss / top):.1f}" for at, loss in enumerate(line)))
                    for name, line in lines.items()
                ],
            }
        )
    return [chart for chart in charts if int(str(chart["epochs"])) > 1]


def view_training(report: ReportView) -> dict[str, object] | None:
    """The curves, what was compared and kept, what fewer photos taught, and a row per epoch."""
    content = report.content
    # What the pages draw themselves, in their own colours, is not shown a second time.
    figures = {name: path for name, path in report.figures.items() if not name.startswith(DRAWN)}
    history = content.artifacts.rows(EpochRow)
    trunks = content.artifacts.find(Trunks)
    if not (figures or history or content.candidates):
        return None
    return {
        "figures": figures,
        "candidates": content.candidates,
        "history": history,
        "losses": draw_losses(history),
        "wide": WIDE,
        "high": HIGH,
        "curve": content.artifacts.find(LearningCurve),
        "trunks": trunks.models if trunks else (),
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
