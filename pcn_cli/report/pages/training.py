"""Training: what was compared and kept, the losses over the epochs, and what fewer photos taught."""

from collections.abc import Sequence
from math import ceil, floor, isfinite, log2

from pcn_cli.records.evaluation import LearningCurve
from pcn_cli.records.metrics import Trunks
from pcn_cli.records.run import EpochRow
from pcn_cli.report.view_model import ReportView

DRAWN = ("confusion", "per_class", "history", "learning_curve")
WIDE, HIGH = 420, 200  # of a chart, in its own units
TICK = 0.05  # where the axis of a share may begin and end


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
    trunks, curve = content.artifacts.find(Trunks), content.artifacts.find(LearningCurve)
    if not (figures or history or content.candidates):
        return None
    return {
        "figures": figures,
        "candidates": content.candidates,
        "history": history,
        "losses": draw_losses(history),
        "wide": WIDE,
        "high": HIGH,
        "curve": curve,
        "taught": draw_taught(curve) if curve else None,
        "trunks": trunks.models if trunks else (),
    }


def draw_taught(curve: LearningCurve) -> dict[str, object]:
    """The learning curve as a chart: its places (x, y, photos) and intervals (x, y, y), and the ends of its axis.

    A step to the right doubles the photos.
    """
    figures = [step.figure for step in curve.steps]
    ends = [end for one in figures for end in (one.value, one.ci_low, one.ci_high) if end is not None]
    bottom = max(0.0, floor(min(ends) / TICK) * TICK)
    top = min(1.0, max(ceil(max(ends) / TICK) * TICK, bottom + TICK))
    doublings = [log2(max(1, step.photos)) for step in curve.steps]
    span = max(doublings) - min(doublings) or 1.0
    across = [round(WIDE * (own - min(doublings)) / span, 1) for own in doublings]

    def height(share: float) -> float:
        return round(HIGH * (top - share) / (top - bottom), 1)

    return {
        "places": [(x, height(step.figure.value), step.photos) for x, step in zip(across, curve.steps, strict=True)],
        "spans": [
            (x, height(one.ci_high), height(one.ci_low))
            for x, one in zip(across, figures, strict=True)
            if one.ci_low is not None and one.ci_high is not None
        ],
        "bottom": bottom,
        "top": top,
    }
