"""Numbers and names as a person reads them; text that is safe to show; the templates, which speak with both."""

import os
import re
from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from pcn_cli.records.metrics import Metric

HERE = Path(__file__).parent
SPACE, MINUS = "\N{NO-BREAK SPACE}", "\N{MINUS SIGN}"
# Words of the field, for whoever does not work in it; shown where one of them is pointed at.
GLOSSARY = {
    "balanced accuracy": "The mean of what share of each class was found: rare classes count as much as frequent ones.",
    "macro F1": "F1 is the harmonic mean of precision and recall; here its mean over the classes.",
    "micro F1": "F1 of all decisions together, so that frequent classes count more.",
    "F1": "The harmonic mean of precision and recall: high only where both are.",
    "precision": "Of the pictures taken for a class, the share that belongs to it.",
    "recall": "Of the pictures of a class, the share that was found.",
    "average precision": "How far a class's probability puts its own pictures before all others.",
    "mean average precision": "Average precision, averaged over the classes.",
    "MCC": "Matthews' correlation of labels and answers: 1 is perfect, 0 is guessing, however uneven the classes.",
    "log-loss": "How surprised the model was by the right answers on average; being surely wrong costs most.",
    "Brier score": "The squared distance of the probabilities from the truth; 0 is perfect.",
    "ECE": "Expected calibration error: how far confidence and accuracy lie apart on average.",
    "ROC area": "How often a picture of a class gets a higher probability of it than others do; 50 % is guessing.",
    "AURC": "The mean share of mistakes where only the surest are answered (area under the risk–coverage curve).",
    "temperature": "What all scores are divided by before they become probabilities, to make confidence honest.",
    "SRG": "How much more the answer hangs on what was looked at most than on what was looked at least; 0: not at all.",
    "hamming loss": "The share of single yes-or-no decisions that are wrong.",
    "exact match": "The share of pictures with all labels right and none too many.",
}


def percent(share: float | None) -> str:
    """`0.87` as "87.0 %"; a dash where there is no number."""
    return "–" if share is None or not isfinite(share) else f"{number(100 * share, 1)}{SPACE}%"


def number(value: float | None, digits: int = 3) -> str:
    """A plain number with a fixed count of decimals, with a real minus; a dash where there is none."""
    return "–" if value is None or not isfinite(value) else f"{value:.{digits}f}".replace("-", MINUS)


def points(difference: float | None) -> str:
    """A difference of two shares with its sign, in points of a hundred: `-0.012` as "−1.2"."""
    shown = number(None if difference is None else 100 * difference, 1)
    return shown if difference is None or difference < 0 else f"+{shown}"


def measured(metric: Metric) -> str:
    """The value of a metric in its own unit."""
    return percent(metric.value) if metric.words.unit == "share" else number(metric.value)


def interval(metric: Metric) -> str:
    """The 95 % interval as "(81.6–91.0)", or nothing where it is unknown; below 0 "to" stands between its ends."""
    if metric.ci_low is None or metric.ci_high is None:
        return ""
    ends = (metric.ci_low, metric.ci_high)
    low, high = (number(100 * end, 1) if metric.words.unit == "share" else number(end) for end in ends)
    return f"({low}{' to ' if MINUS in low else '–'}{high})"


def duration(seconds: float | None) -> str:
    """How long something took, in the two largest units that say something; a dash where that is unknown."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.0f}{SPACE}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, left = divmod(minutes, 60)
    parts = ((hours, "h"), (left, "min")) if hours else ((minutes, "min"), (rest, "s"))
    return SPACE.join(f"{count}{SPACE}{unit}" for count, unit in parts if count)


def plural(count: int, one: str, many: str = "") -> str:
    """The count with its noun: "1 picture", "1,200 pictures"."""
    return f"{count:,}{SPACE}{one if count == 1 else many or one + 's'}"


def heading(text: str) -> str:
    """The title of a metric or the name of a figure as a heading: "log-loss" as "Log-loss"."""
    words = text.replace("_", " ").replace(" %", f"{SPACE}%")
    return words[:1].upper() + words[1:]


def meaning(title: str) -> str:
    """What a word of the field means, "" where it needs no saying."""
    return GLOSSARY.get(title, GLOSSARY.get(title.lower(), ""))


def clean(text: str) -> str:
    """`text` without the lone surrogates that stand for undecodable bytes, which no page can hold."""
    return re.sub("[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", text)


def gallery_link(**filters: str) -> str:
    """The address of the gallery with these filters, such as label and predicted."""
    return "#gallery?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in filters.items())


def display_names(files: Sequence[str]) -> list[str]:
    """The names to show for `files`: as they are below the photos folder, absolute ones below their common folder."""
    absolute = {file: file.replace("\\", "/") for file in files if re.match(r"[/\\]|[A-Za-z]:[\\/]", file)}
    parents = [os.path.dirname(path) for path in absolute.values()]  # noqa: PTH120 - text, of any system
    # On two drives there is no common folder: then the name alone is shown.
    common = os.path.commonpath(parents) if len({parent[:2] for parent in parents}) == 1 else ""
    below = {file: path[len(common) :] if common else path.rpartition("/")[2] for file, path in absolute.items()}
    return [clean(below[file].lstrip("/") if file in below else file) for file in files]


def hide_paths(text: str) -> str:
    """`text` with every absolute path cut down to its last name, so that a page sent on names nobody's home."""
    for private in (str(Path.cwd()), str(Path.home())):
        if len(private) > 1:
            text = re.sub(re.escape(private) + r"(?=[\\/\s\"']|$)", "…", text)
    text = re.sub(r"""(["'])(?:[A-Za-z]:)?[\\/][^"'\n]*[\\/]([^"'\\/\n]+)[\\/]?\1""", r"\1…/\2\1", text)
    text = re.sub(r"""(?<![\w.~/…])/(?!/)(?:[^\s"'/]+/)+([^\s"'/]+)/?""", r"…/\1", text)
    return clean(re.sub(r"""\b[A-Za-z]:\\(?:[^\s"'\\]+\\)*([^\s"'\\]+)\\?""", r"…/\1", text))


def new_environment() -> Environment:
    """The templates with the words of this file, as functions and as filters; what goes into HTML is escaped."""
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    words = (percent, number, points, measured, interval, plural, heading, hide_paths, gallery_link, meaning, duration)
    tools = {tool.__name__: tool for tool in words}
    environment.globals |= tools
    environment.filters |= tools
    return environment
