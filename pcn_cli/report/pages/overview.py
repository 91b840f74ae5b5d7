"""Overview: one sentence with its interval and baseline, what was compared, what to know, where to look first."""

from collections import Counter
from dataclasses import dataclass

from pcn_cli.records.change import Change
from pcn_cli.records.metrics import Metric, weakest_class
from pcn_cli.report.content import ReportContent
from pcn_cli.report.format import SPACE, clean, gallery_link, percent, plural
from pcn_cli.report.view_model import ReportView

FIRST_LOOK = (8, 4)  # whole lines of tiles, as many as there are mistakes for, or all where there are few
SURE = 0.9
LONG = 240  # letters of evidence from which on it is a list of files, and folded
WELL_FOUND = 0.9  # of a class: more photos of it are not what is needed most
SEVERITIES = {"error": 0, "warning": 1, "note": 2}


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A line of the comparison: the accuracy, or of several labels the mean average precision, with its interval.

    `kept` tells whether it is the model of this report.
    """

    name: str
    accuracy: Metric
    kept: bool = False


def view_overview(report: ReportView) -> dict[str, object]:
    """The values of templates/overview.html."""
    content, rows = report.content, report.rows
    urgent = rows.mistakes or rows.front
    weakest = None if content.multi_label else weakest_class(content.per_class)
    missed = [row for row in rows.mistakes if weakest and row.label == clean(weakest.label)]
    counts = Counter(name for row in rows.all for name in row.predicted_labels)
    return {
        "accuracy": content.metrics.get("accuracy"),
        "precision": content.metrics.get("mean_average_precision") if content.multi_label else None,
        "bars": compare(content),
        "metrics": [one for one in content.metrics.values() if not {"baseline", "candidates"} & set(one.words.shown)],
        "findings": sorted(content.findings, key=lambda one: SEVERITIES.get(one.severity, len(SEVERITIES))),
        "change": content.artifacts.find(Change),
        "long": LONG,
        "simpler": content.keeps_simpler,
        "tiles": summarise(report),
        "steps": list_steps(report),
        "weakest": weakest,
        "weakest_rows": missed[: 4 if len(missed) > 3 else 0],
        "first_look": urgent[: next((count for count in FIRST_LOOK if len(urgent) >= count), len(urgent))],
        "counts": counts.most_common(20),
        "more_counts": max(0, len(counts) - 20),
    }


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A figure in short: what it is, how much, what that means, and where there is more of it."""

    title: str
    value: str
    words: str = ""
    address: str = ""


def summarise(report: ReportView) -> list[Tile]:
    """At most four figures that a person acts on."""
    content, tiles = report.content, list[Tile]()
    weakest = weakest_class(content.per_class)
    if weakest is not None and weakest.recall is not None:
        name, found = clean(weakest.label), round(weakest.recall * weakest.support)
        words = f"of {plural(weakest.support, 'picture')} labelled {name} were found"
        tiles.append(Tile(title="Weakest class", value=f"{found:,}", words=words, address=gallery_link(label=name)))
    answered, right = content.metrics.get("threshold_coverage"), content.metrics.get("threshold_accuracy")
    if answered is not None and right is not None and _threshold(content) is not None:
        words = f"of the pictures it answers by itself, right on {percent(right.value)} of those"
        tiles.append(
            Tile(title="With the threshold", value=percent(answered.value), words=words, address="#confidence")
        )
    elif report.rows.labelled and not content.multi_label:
        sure = [row for row in report.rows.all if row.correct is not None and row.prediction.confidence >= SURE]
        if sure:
            good = sum(bool(row.correct) for row in sure)
            words = f"right of the {len(sure):,} answers that are at least {SURE:.0%} sure".replace("%", f"{SPACE}%")
            tiles.append(Tile(title="Where it is sure", value=f"{good:,}", words=words, address="#confidence"))
    if pairs := [(count, pair) for pair, count in report.rows.cells.items() if pair[0] != pair[1]]:
        count, (label, taken) = max(pairs)
        tiles.append(
            Tile(
                title="Most often confused",
                value=f"{count:,}",
                words=f"{label} taken for {taken}",
                address=gallery_link(label=label, predicted=taken),
            )
        )
    if content.suspects:
        words = "labels that a model which had not seen them doubts"
        tiles.append(Tile(title="Labels in doubt", value=f"{len(content.suspects):,}", words=words, address="#desk"))
    return tiles if len(tiles) > 1 else []


def list_steps(report: ReportView) -> list[Tile]:
    """At most three things to do, each with its page."""
    content, steps = report.content, list[Tile]()
    if not report.rows.labelled:
        return []
    if content.suspects:
        title = f"Look at the {plural(len(content.suspects), 'doubtful label')}"
        words = "A wrong label teaches the wrong thing and counts a right answer as wrong."
        steps.append(Tile(title=title, value="", words=words, address="#desk"))
    weakest = weakest_class(content.per_class)
    if weakest is not None and weakest.recall is not None and weakest.recall < WELL_FOUND:
        name = clean(weakest.label)
        title = f"Collect more photos of {name}"
        words = "Most of all such as these that were missed: of no class does it miss more."
        steps.append(Tile(title=title, value="", words=words, address=gallery_link(label=name, show="wrong")))
    if content.confidence is not None and content.confidence.coverage is not None:
        threshold = _threshold(content)
        title = (
            "Leave the unsure ones to a person"
            if threshold is None
            else f"Leave answers under {percent(threshold)} to a person"
        )
        words = "How many that would be, and how often the rest is right, can be tried out."
        steps.append(Tile(title=title, value="", words=words, address="#confidence"))
    return steps[:3]


def _threshold(content: ReportContent) -> float | None:
    selection = content.confidence.selection if content.confidence else None
    return selection.threshold if selection else None


def compare(content: ReportContent) -> list[Bar]:
    """The kept model first, then what it was compared with by falling accuracy, each with an accuracy."""
    bars = [
        Bar(name=clean(c.name), accuracy=c.headline, kept=c.kept) for c in content.candidates if c.headline is not None
    ]
    key = "mean_average_precision" if content.multi_label else "accuracy"
    accuracy, logistic = content.metrics.get(key), content.metrics.get("baseline_logistic")
    prior = content.metrics.get("baseline_prior_average_precision")
    if accuracy is not None and not any(bar.kept for bar in bars):
        bars.append(Bar(name="this model", accuracy=accuracy, kept=True))
    if logistic is not None and not any(bar.name.startswith("logistic") for bar in bars):
        bars.append(Bar(name="logistic regression", accuracy=logistic))
    if content.majority:
        bars.append(Bar(name=f"always {clean(content.majority)}", accuracy=content.metrics["baseline_majority"]))
    if prior is not None:
        bars.append(Bar(name="how frequent each class is", accuracy=prior))
    return sorted(bars, key=lambda bar: (not bar.kept, -bar.accuracy.value))
