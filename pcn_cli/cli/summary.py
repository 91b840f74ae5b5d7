"""What a run came to, as a few lines a person reads."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pcn_cli.cli.console import out, safe, say_wrapped, show_table, verbosity
from pcn_cli.records.evaluation import LearningCurve
from pcn_cli.records.metrics import Candidate, ClassRow, Finding, Metric, Trunk
from pcn_cli.records.photos import PARTS, natural_order

# Only named in signatures: `pcn --help` need not pay for what they import.
if TYPE_CHECKING:
    from pcn_cli.stages.finetune import Outcome
    from pcn_cli.stages.plan import Plan

_SMALL = "few photos"
_MOST_LINES = 3  # of the evidence of a finding, unless everything is to be said
_VALUE = ("value#", "95 % interval#")


def show_run(outcome: "Outcome", *, told: Sequence[Finding] = ()) -> None:
    """What to know of a finished run, its numbers, and what was compared.

    Findings that were `told` while it ran are not repeated to somebody who looks at the same terminal, and of the
    numbers a person is shown those of the classes; a file gets all, and so does who asks to hear more.
    """
    seen = {finding.title for finding in told} if out.is_terminal else set()
    show_findings([finding for finding in outcome.findings if finding.title not in seen])
    show_classes(outcome.per_class)
    if verbosity.verbose or not out.is_terminal:
        show_figures(outcome.metrics)
    if outcome.models:
        show_trunks(outcome.models)
    if outcome.candidates:
        show_candidates(outcome.candidates)
    if outcome.learning_curve:
        show_learning_curve(outcome.learning_curve)
    out.print()


def show_findings(findings: Sequence[Finding]) -> None:
    """Each finding with its evidence and what to do about it."""
    for finding in findings:
        say_wrapped(f"[bold]{safe(finding.severity)}: {safe(finding.title)}[/bold]", indent=0, screen=out)
        say_wrapped(safe(finding.evidence), screen=out, most_lines=None if verbosity.verbose else _MOST_LINES)
        if finding.remedy:
            say_wrapped(f"[dim]{safe(finding.remedy)}[/dim]", screen=out)
    if findings:
        out.print()


def show_numbers(metrics: Mapping[str, Metric], per_class: Sequence[ClassRow]) -> None:
    """The per-class table, then the headline with its interval and baseline, and all the rest."""
    show_classes(per_class)
    show_figures(metrics)


def show_classes(per_class: Sequence[ClassRow]) -> None:
    """What was found of every class, unless there are too many to read."""
    if len(per_class) > 40:
        return
    classes = []
    for row in sorted(per_class, key=lambda row: natural_order(row.label)):
        rates = (row.precision, row.recall, row.f1, row.average_precision)
        shown = ("–" if rate is None else f"{rate:.1%}" for rate in rates)
        classes.append((safe(row.label), *shown, f"{row.support:,}", _SMALL if row.few else ""))
    columns = ("class", "precision#", "recall#", "F1#", "average precision#", "test photos#", "")
    show_table(columns, classes)
    out.print()


def show_figures(metrics: Mapping[str, Metric]) -> None:
    """Every figure of the test part with its interval."""
    rows = [(*_cells(metric), _SMALL if metric.few else "") for metric in _shown(metrics, "table")]
    rows += [(*_cells(metric), "") for shown in ("pointing", "baseline") for metric in _shown(metrics, shown)]
    show_table(("test part", *_VALUE, ""), rows)
    if "temperature" in metrics:
        show_confidence(metrics)
    folds = _shown(metrics, "folds")
    if folds:
        told = ((metric.method.partition(":")[0], *_cells(metric)) for metric in folds)
        rows = [(title.removeprefix("cross-validated "), value, ends, method) for method, title, value, ends in told]
        out.print()
        show_table(("cross-validated", *_VALUE, ""), rows)


def show_confidence(metrics: Mapping[str, Metric]) -> None:
    """What calibration gave: the temperature and what it changed, the threshold, the sets (of one label only)."""
    first = metrics["temperature"]
    shown = sorted(_shown(metrics, "confidence"), key=lambda metric: metric is not first)
    rows = [(*_cells(metric), metric.method if metric is first else "") for metric in shown]
    missing = [level for level in (90, 95) if f"conformal_{level}_coverage" not in metrics and "accuracy" in metrics]
    rows += [(f"{level} % sets", "–", "", "not enough photos") for level in missing]
    out.print()
    show_table(("confidence", *_VALUE, ""), rows)


def show_candidates(candidates: Sequence[Candidate]) -> None:
    """The models that were compared, with the one that was kept."""
    several = any(candidate.mean_average_precision for candidate in candidates)
    figure = "test mean average precision#" if several else "test accuracy#"
    rows = []
    for candidate in candidates:
        accuracy = _cells(candidate.headline)[1:] if candidate.headline else ("–", "")
        name = f"[bold]{safe(candidate.name)}[/bold] (kept)" if candidate.kept else safe(candidate.name)
        rows.append((name, f"{candidate.val_log_loss:.4f}", *accuracy))
    out.print()
    show_table(("", "validation log-loss#", figure, "95 % interval#"), rows, title="compared")


def show_learning_curve(curve: LearningCurve) -> None:
    """What shares of the training photos taught, up to all of them; what it comes to stands among the findings."""
    figure = "test accuracy#" if curve.figure == "accuracy" else "test mean average precision#"
    rows = [
        (f"{step.share} of the photos" if step.draws > 1 else step.share, f"{step.photos:,}", *_cells(step.figure)[1:])
        for step in curve.steps
    ]
    out.print()
    show_table(("learned from", "photos#", figure, "95 % interval#"), rows, title="learning curve")
    if curve.left_out:
        out.print(f"  [dim]{safe(curve.told_left_out)}[/dim]", soft_wrap=True)


def show_trunks(trunks: Sequence[Trunk]) -> None:
    """The models to choose from, with the one that was kept; before the choice without figures."""
    measured = any(trunk.headline for trunk in trunks)
    figure = "average precision#" if any(trunk.mean_average_precision for trunk in trunks) else "accuracy#"
    figures = ("log-loss#", figure, "95 % interval#") if measured else ()
    rows = []
    for trunk in trunks:
        name = f"[bold]{safe(trunk.name)}[/bold] (kept)" if trunk.kept else safe(trunk.name)
        facts = (name, f"{trunk.parameters / 1e6:.1f} M", safe(trunk.licence or "unknown"))
        shown = _cells(trunk.headline)[1:] if trunk.headline else ("–", "")
        loss = "–" if trunk.val_log_loss is None else f"{trunk.val_log_loss:.4f}"
        rows.append((*facts, loss, *shown) if measured else facts)
    out.print()
    out.print("[bold]models to choose from, by the validation photos[/bold]")
    show_table(("", "parameters#", "licence", *figures), rows)


def show_dry_run(plan: "Plan", run: Path) -> None:
    """What would be done, and what would be in the run's folder."""
    counts = Counter((label, row.split) for row in plan.rows for label in row.labels)
    rows = [(safe(name), *(f"{counts[name, part]:,}" for part in PARTS)) for name in plan.scan.classes]
    show_table(("class", "train#", "validation#", "test#"), rows)
    out.print()
    unreadable, ignored = len(plan.scan.unreadable), len(plan.scan.ignored)
    out.print(f"{len(plan.scan.photos):,} photos, {unreadable:,} unreadable, {ignored:,} ignored")
    if plan.compared:
        show_trunks(plan.compared)
        out.print("what follows counts with the largest")
    else:
        out.print(f"model: {safe(plan.source.name)}, {plan.source.parameters / 1e6:.1f} M parameters")
    download = f"{plan.download_bytes / 1e6:,.0f} MB" if plan.download_bytes else "nothing"
    out.print(f"to download: {download}")
    if known := sum(plan.known.values()):
        out.print(f"known from earlier runs: the tokens of {known:,} photos")
    seconds, memory = plan.seconds(), plan.memory_gb()
    if seconds is not None and memory is not None:
        out.print(f"time: about {_duration(seconds)} on {plan.recipe.train.device}")
        out.print(f"memory: about {memory:.1f} GB")
    if scratch := plan.scratch_bytes():
        out.print(f"disk while it learns: about {scratch / 1e6:,.0f} MB in the run's folder, gone at the end")
    size = f"about {plan.run_bytes() / 1e6:,.0f} MB"
    out.print(f"would be written: {safe(run)}, {size}: {', '.join(plan.run_contents())}", soft_wrap=True)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(seconds, 1):.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def _shown(metrics: Mapping[str, Metric], where: str) -> list[Metric]:
    return [metric for metric in metrics.values() if where in metric.words.shown]


def _cells(metric: Metric) -> tuple[str, str, str]:
    """Title, value and interval of a metric, in its unit."""
    value, *ends = (show_value(one, metric) for one in (metric.value, metric.ci_low, metric.ci_high) if one is not None)
    return metric.words.title, value, " – ".join(ends)


def show_value(value: float, metric: Metric) -> str:
    """A value in the unit of its metric."""
    return f"{value:.1%}" if metric.words.unit == "share" else f"{value:.4f}"
