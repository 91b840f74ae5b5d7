"""figures/: static charts of the numbers, as PNG and SVG."""

from pcn_cli.metrics.figures import draw_confusion, draw_history, draw_per_class
from pcn_cli.runs.evaluation import Evaluation
from pcn_cli.runs.store import HISTORY


def draw_figures(evaluation: Evaluation) -> None:
    """Draw the confusion matrix, where there is one, the classes and, where something was trained, its curves."""
    folder, history = evaluation.run.figures, HISTORY.read(evaluation.run)
    if evaluation.confusion is not None:
        draw_confusion(evaluation.confusion, evaluation.classes, stem=folder / "confusion")
    draw_per_class(evaluation.per_class, stem=folder / "per_class")
    if history:
        draw_history(history, stem=folder / "history")
