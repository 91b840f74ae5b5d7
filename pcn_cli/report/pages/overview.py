"""Overview: one sentence with its interval and baseline, what was compared, what to know, where to look first."""

from collections import Counter
from dataclasses import dataclass

from pcn_cli.records.metrics import Metric
from pcn_cli.report.content import ReportContent
from pcn_cli.report.format import clean
from pcn_cli.report.view_model import ReportView

FIRST_LOOK = (8, 4)  # whole lines of tiles, as many as there are mistakes for, or all where there are few
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
    counts = Counter(name for row in rows.all for name in row.predicted_labels)
    return {
        "accuracy": content.metrics.get("accuracy"),
        "precision": content.metrics.get("mean_average_precision") if content.multi_label else None,
        "bars": compare(content),
        "metrics": [one for one in content.metrics.values() if not {"baseline", "candidates"} & set(one.words.shown)],
        "findings": sorted(content.findings, key=lambda one: SEVERITIES.get(one.severity, len(SEVERITIES))),
        "first_look": urgent[: next((count for count in FIRST_LOOK if len(urgent) >= count), len(urgent))],
        "counts": counts.most_common(20),
        "more_counts": max(0, len(counts) - 20),
    }


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
