"""What the model is, what it was measured to do, for what it is not: as a page, and as README.md beside the weights.

The README has front matter in YAML for the Hugging Face Hub, and the same facts for people by templates/model_card.md.
Names are hostile text: the YAML is dumped, and what could steer the Markdown is escaped.
"""

import re
import shlex
from functools import cache

from huggingface_hub.repocard_data import EvalResult, ModelCardData
from jinja2 import Environment

from pcn_cli.records.metrics import Metric
from pcn_cli.records.model import ModelConfig
from pcn_cli.report.content import ReportContent
from pcn_cli.report.format import clean, heading, hide_paths, new_environment, number, percent, plural
from pcn_cli.report.pages.overview import compare
from pcn_cli.report.view_model import ReportView

MOST_CLASSES = 200
FITS = {
    "crop": "the middle of the picture is cut out",
    "pad": "the whole picture, filled up with its mean colour",
    "squash": "the whole picture, drawn to a square",
}
_HUB_LICENCES = {"apache-2.0", "mit", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0"}
NETWORKS = {"attention_pooled": "a network of timm under attention pooling"}


def write_card(content: ReportContent, *, photos: str) -> str:
    """The text of README.md for a measured model; `photos` is the name of the folder that it learned from."""
    text = (
        _card_templates()
        .get_template("model_card.md")
        .render(
            content=content,
            front_matter=describe_for_hub(content, photos=photos).to_yaml(),
            photos=photos,
            figure="mean average precision" if content.multi_label else "accuracy",
            bars=compare(content),
            most_classes=MOST_CLASSES,
            **describe_model(content),
        )
    )
    return text + "\n"


@cache
def _card_templates() -> Environment:
    environment = new_environment()
    environment.filters |= {tool.__name__: tool for tool in (plain_markdown, one_line, fenced, without_folders)}
    return environment


def describe_for_hub(content: ReportContent, *, photos: str) -> ModelCardData:
    """The front matter: what the Hub needs to list the model with its figures of the test part.

    A ValueError where the content has no model.
    """
    if content.model is None:
        raise ValueError("there is no model to describe")
    licence = content.model.licence
    listed = licence.lower() in _HUB_LICENCES
    return ModelCardData(
        license=licence.lower() if listed else "other" if licence else None,
        license_name=one_line(licence) if licence and not listed else None,
        library_name="pcn",
        pipeline_tag="image-classification",
        tags=["image-classification", "attention-pooling", "explainability"],
        model_name=one_line(content.title),
        eval_results=[
            EvalResult(
                task_type="image-classification",
                task_name="Image classification",
                dataset_type="imagefolder",
                dataset_name=one_line(photos),
                dataset_split=content.part,
                metric_type=metric.words.hub or key,
                metric_name=heading(metric.words.title),
                metric_value=metric.value,
                metric_args={"average": metric.words.hub_average} if metric.words.hub_average else None,
            )
            for key, metric in card_metrics(content).items()
        ]
        or None,
    )


def one_line(text: str) -> str:
    """`text` without line ends, control and direction characters, as a name in a sentence."""
    return " ".join("".join(c if c.isprintable() else " " for c in clean(text)).split()) or "–"


def plain_markdown(text: str) -> str:
    """`text` as Markdown that marks nothing up, in a sentence or in the cell of a table."""
    shown = re.sub(r"([\\`*_\[\]<>#|~$&@])", r"\\\1", one_line(text))
    return shown.replace("://", r":\//").replace("www.", r"www\.")  # else addresses become links


def fenced(text: str, language: str) -> str:
    """`text` as a block of code that no backtick of its own can end."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def without_folders(command: str) -> str:
    """The command with every path cut down to its last name: where a file lies is nobody's business."""
    try:
        words = shlex.split(command)
    except ValueError:  # quotes that do not close
        words = command.split()
    shown = [word if "://" in word else re.sub(r"[^=:]*[\\/](?=[^\\/])", "", hide_paths(word)) for word in words]
    return shlex.join(shown)


def view_card(report: ReportView) -> dict[str, object] | None:
    """The values of templates/card.html; None where the run has no model of its own."""
    model = report.content.model
    return describe_model(report.content) | {"classes": [clean(name) for name in model.classes]} if model else None


def describe_model(content: ReportContent) -> dict[str, object]:
    """What the page and the README beside the weights both tell."""
    return {
        "model": content.model,
        "facts": model_facts(content.model) if content.model else [],
        "trained": content.scan.count("train") if content.scan else 0,
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
        ("Network", NETWORKS.get(model.architecture, model.architecture)),
        ("Licence of the weights", model.licence or "unknown"),
        ("Input", f"{how.width} × {how.height} pixels: {FITS[how.fit]}"),
        ("Temperature", number(model.temperature)),
    ]
    if model.model_args.get("mirror"):
        facts.append(("Answers from", "the picture and its mirror image together"))
    if model.selection is not None and model.selection.threshold is not None:
        facts.append(("Unknown below", percent(model.selection.threshold)))
    return [(name, clean(fact)) for name, fact in facts]


def list_limits(content: ReportContent) -> list[str]:
    """What a reader should not expect, each as a sentence that the run's own numbers support."""
    others = "takes every picture for one of them"
    if content.multi_label:
        others = "says nothing of what else a picture shows"
    elif content.model and content.model.selection and content.model.selection.threshold is not None:
        others += ", or where it is less sure than its threshold for unknown"
    limits = [f"It knows {plural(len(content.classes), 'class', 'classes')} and {others}."]
    few = [clean(row.label) for row in content.per_class if row.few]
    if few:
        some = ", ".join(few[:5]) + (" …" if len(few) > 5 else "")
        limits.append(f"Fewer than 20 pictures measured it on {plural(len(few), 'class', 'classes')}: {some}.")
    weak = sorted((row for row in content.per_class if row.recall is not None), key=lambda row: row.recall or 0)
    if weak and (weak[0].recall or 0) < 1:
        limits.append(f"It finds {clean(weak[0].label)} least often: {percent(weak[0].recall)} of its pictures.")
    if content.scan and content.scan.leaks:
        limits.append("Photos of one part stand in another too, so its figures flatter it; see Data health.")
    limits.append(
        "It was measured on pictures of the same kind as those it learned from, and on no others; those may go worse."
    )
    return limits
