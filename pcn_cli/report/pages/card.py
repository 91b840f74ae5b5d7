"""Model card: what the model is, what it was measured to do, for what it is not."""

from pcn_cli.records.metrics import Metric
from pcn_cli.records.model import ModelConfig
from pcn_cli.report.content import ReportContent
from pcn_cli.report.format import clean, number, percent, plural
from pcn_cli.report.view_model import ReportView

FITS = {
    "crop": "the middle of the picture is cut out",
    "pad": "the whole picture, filled up with its mean colour",
    "squash": "the whole picture, drawn to a square",
}


def view_card(report: ReportView) -> dict[str, object] | None:
    """The values of templates/card.html; None where the run has no model of its own."""
    model, content = report.content.model, report.content
    if model is None:
        return None
    return {
        "model": model,
        "facts": model_facts(model),
        "trained": content.scan.count("train") if content.scan else 0,
        "classes": [clean(name) for name in model.classes],
        "measured": list(card_metrics(content).values()),
        "limits": list_limits(content),
    }


def card_metrics(content: ReportContent) -> dict[str, Metric]:
    """The figures that stand on a model card, by key, in display order."""
    return {key: metric for key, metric in content.metrics.items() if "card" in metric.words.shown}


def model_facts(model: ModelConfig) -> list[tuple[str, str]]:
    """What the model folder says, as pairs of a name and words."""
    how = model.preprocessing
    facts = [
        ("Started from", model.card or "random numbers"),
        ("Network", model.architecture),
        ("Licence of the weights", model.licence or "unknown"),
        ("Input", f"{how.width} × {how.height} pixels: {FITS[how.fit]}"),
        ("Temperature", number(model.temperature)),
    ]
    selection = model.selection
    if selection is not None and selection.threshold is not None:
        facts.append(("Unknown below", percent(selection.threshold)))
    return [(name, clean(fact)) for name, fact in facts]


def list_limits(content: ReportContent) -> list[str]:
    """What a reader should not expect, each as a sentence that the run's own numbers support."""
    limits = [f"It knows {plural(len(content.classes), 'class', 'classes')} and {_other_pictures(content)}."]
    few = [clean(row.label) for row in content.per_class if row.few]
    if few:
        limits.append(f"Fewer than 20 pictures measured it on {plural(len(few), 'class', 'classes')}: {_some(few)}.")
    weak = sorted((row for row in content.per_class if row.recall is not None), key=lambda row: row.recall or 0)
    if weak and (weak[0].recall or 0) < 1:
        limits.append(f"It finds {clean(weak[0].label)} least often: {percent(weak[0].recall)} of its pictures.")
    if content.scan and content.scan.leaks:
        limits.append("Photos of one part stand in another too, so its figures flatter it; see Data health.")
    limits.append(
        "It was measured on pictures of the same kind as those it learned from, and on no others; those may go worse."
    )
    return limits


def _other_pictures(content: ReportContent) -> str:
    """What becomes of pictures that show none of the classes."""
    if content.multi_label:
        return "says nothing of what else a picture shows"
    selection = content.model.selection if content.model else None
    if selection is not None and selection.threshold is not None:
        return "takes every picture for one of them, or where it is less sure than its threshold for unknown"
    return "takes every picture for one of them"


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
