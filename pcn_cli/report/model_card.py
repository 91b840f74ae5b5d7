"""The model card: README.md beside the weights, in the format of the Hugging Face Hub.

Front matter in YAML for the Hub, the same facts in Markdown for people. Names are hostile text: the YAML is dumped, and
what could steer the Markdown is escaped.
"""

import re
import shlex

from huggingface_hub.repocard_data import EvalResult, ModelCardData

from pcn_cli.report.content import ReportContent
from pcn_cli.report.format import clean, heading, hide_paths, interval, measured, percent, plural
from pcn_cli.report.pages.card import card_metrics, list_limits, model_facts
from pcn_cli.report.pages.overview import compare

MOST_CLASSES = 200
_HUB_LICENCES = {"apache-2.0", "mit", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0"}


def write_card(content: ReportContent, *, photos: str) -> str:
    """The text of README.md for a measured model; `photos` is the name of the folder that it learned from.

    Raises:
        ValueError: the content has no model.
    """
    parts = (
        _introduce(content, photos),
        _tell_figures(content),
        _tell_classes(content),
        _tell_limits(content),
        _tell_making(content),
        _tell_use(content),
    )
    body = "\n\n".join("\n".join(lines) for lines in parts if lines)
    return f"---\n{describe_for_hub(content, photos=photos).to_yaml()}\n---\n\n{body}\n"


def describe_for_hub(content: ReportContent, *, photos: str) -> ModelCardData:
    """The front matter: what the Hub needs to list the model with its figures of the test part."""
    if content.model is None:
        raise ValueError("there is no model to describe")
    licence = content.model.licence
    listed = licence.lower() in _HUB_LICENCES
    data = ModelCardData(
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
        ],
    )
    if not data.eval_results:
        data.eval_results = None
    return data


def one_line(text: str) -> str:
    """`text` without line ends, control and direction characters, as a name in a sentence."""
    return " ".join("".join(c if c.isprintable() else " " for c in clean(text)).split()) or "–"


def escape(text: str) -> str:
    """`text` as Markdown that marks nothing up, in a sentence or in the cell of a table."""
    shown = re.sub(r"([\\`*_\[\]<>#|~$&@])", r"\\\1", one_line(text))
    return shown.replace("://", r":\//").replace("www.", r"www\.")  # else addresses become links


def fenced(text: str, language: str) -> list[str]:
    """`text` as a block of code that no backtick of its own can end."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}{language}", text, fence]


def _introduce(content: ReportContent, photos: str) -> list[str]:
    model = content.model
    source = f"`pcn` from {escape(hide_paths(model.card)) if model and model.card else 'random numbers'}"
    trained = content.scan.count("train") if content.scan else 0
    learned = f", trained on {plural(trained, 'photo')} of the folder {escape(photos)}" if trained else ""
    classes = plural(len(content.classes), "class", "classes")
    return [
        f"# {escape(content.title)}",
        "",
        f"An image classifier for {classes}, made with {source}{learned}. It is meant for pictures of the same kind.",
        "Every answer can be shown with a map of where in the picture it came from.",
    ]


def _tell_figures(content: ReportContent) -> list[str]:
    metrics = list(card_metrics(content).values())
    if not metrics:
        return []
    lines = ["## What it was measured to do", "", "| figure | value | 95 % interval |", "|---|---|---|"]
    lines += [f"| {heading(one.words.title)} | {measured(one)} | {interval(one)} |" for one in metrics]
    count = plural(metrics[0].n, "picture")
    lines += ["", f"On {count} of the {content.part} part, none of which was used to train or to choose."]
    figure = "mean average precision" if content.multi_label else "accuracy"
    lines += ["", f"Beside what it must beat ({figure} on the same pictures):", ""]
    lines += [f"| model | {figure} | 95 % interval |", "|---|---|---|"]
    for bar in compare(content):
        name = f"**{escape(bar.name)}** (this model)" if bar.kept and content.candidates else escape(bar.name)
        lines.append(f"| {name} | {percent(bar.accuracy.value)} | {interval(bar.accuracy)} |")
    return lines


def _tell_classes(content: ReportContent) -> list[str]:
    lines = ["## Classes", "", "| class | precision | recall | F1 | pictures measured |", "|---|---|---|---|---|"]
    for row in content.per_class[:MOST_CLASSES]:
        rates = " | ".join(percent(rate) for rate in (row.precision, row.recall, row.f1))
        lines.append(f"| {escape(row.label)} | {rates} | {row.support:,} |")
    left = len(content.per_class) - MOST_CLASSES
    return [*lines, "", f"and {plural(left, 'class', 'classes')} more"] if left > 0 else lines


def _tell_limits(content: ReportContent) -> list[str]:
    warnings = [f"{one.title}: {one.evidence}" for one in content.findings if one.severity == "warning"]
    limits = [*list_limits(content), *warnings]
    return ["## What not to expect", "", *(f"- {escape(hide_paths(limit))}" for limit in limits)]


def _tell_making(content: ReportContent) -> list[str]:
    facts = model_facts(content.model) if content.model else []
    lines = ["## How it was made", ""]
    if content.reproduce is not None:
        lines += [*fenced(one_line(without_folders(content.reproduce.command)), "sh"), ""]
        made = {"pcn", "torch", "timm"} & content.reproduce.versions.keys()
        facts = [*facts, *((name, content.reproduce.versions[name]) for name in sorted(made))]
    return [*lines, *(f"- {name}: {escape(hide_paths(fact))}" for name, fact in facts)]


def without_folders(command: str) -> str:
    """The command with every path cut down to its last name: where a file lies is nobody's business."""
    try:
        words = shlex.split(command)
    except ValueError:  # quotes that do not close
        words = command.split()
    shown = [word if "://" in word else re.sub(r"[^=:]*[\\/](?=[^\\/])", "", hide_paths(word)) for word in words]
    return shlex.join(shown)


def _tell_use(content: ReportContent) -> list[str]:
    answers = "labels" if content.multi_label else "label"
    python = f'import pcn_cli\n\nprint(pcn_cli.predict("photo.jpg", model="path/to/this/folder")[0]["{answers}"])'
    return [
        "## How to use it",
        "",
        *fenced("pcn predict photo.jpg --model path/to/this/folder --overlay maps", "sh"),
        "",
        *fenced(python, "python"),
        "",
        "Written by `pcn` from the run's `metrics.json`; measuring the run again writes it anew.",
    ]
