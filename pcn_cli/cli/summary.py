"""What a run came to, as a few lines a person reads."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pcn_cli.cli.console import new_table, out, safe, say

# Only named in signatures: `pcn --help` need not pay for their dataclasses.
if TYPE_CHECKING:
    from pcn_cli.records.metrics import Candidate, ClassRow, Finding, Metric
    from pcn_cli.stages.evaluate import Measured
    from pcn_cli.stages.finetune import Outcome

_POINTING = {
    "pointing_game": "strongest patch inside the object's box",
    "pointing_game_right": "… of the right predictions",
    "pointing_game_center": "… by guessing the middle",
    "pointing_game_random": "… by guessing at random",
}
_HEADLINES = ("accuracy", "balanced_accuracy", "macro_f1", "log_loss")


def show_run(outcome: "Outcome") -> None:
    """What to know of a finished run, its numbers, what was compared, and where everything lies."""
    show_findings(outcome.findings)
    show_numbers(outcome.metrics, outcome.per_class)
    if outcome.candidates:
        show_candidates(outcome.candidates)
    say(f"run: {safe(outcome.run)}")


def show_metrics(measured: "Measured") -> None:
    """What to know of an evaluation, then its numbers."""
    show_findings(measured.findings)
    show_numbers(measured.metrics, measured.per_class)


def show_findings(findings: "Sequence[Finding]") -> None:
    """Each finding with its evidence and what to do about it."""
    for finding in findings:
        out.print(f"[bold]{safe(finding.severity)}: {safe(finding.title)}[/bold]", soft_wrap=True)
        out.print(f"  {safe(finding.evidence)}", soft_wrap=True)
        if finding.remedy:
            out.print(f"  [dim]{safe(finding.remedy)}[/dim]", soft_wrap=True)
    if findings:
        out.print()


def show_numbers(metrics: "Mapping[str, Metric]", per_class: "Sequence[ClassRow]") -> None:
    """The per-class table, then the headline with its interval and baseline."""
    if len(per_class) <= 40:
        table = new_table("class", "precision#", "recall#", "F1#", "test photos#")
        for row in per_class:
            rates = ("–" if rate is None else f"{rate:.1%}" for rate in (row.precision, row.recall, row.f1))
            table.add_row(safe(row.label), *rates, f"{row.support:,}")
        out.print(table)
        out.print()
    table = new_table("test part", "value#", "95 % interval#")
    for name in (*_HEADLINES, *(name for name in metrics if name.startswith("top_"))):
        if name in metrics:
            table.add_row(name.replace("_", " "), *_value(name, metrics[name]))
    for name, words in _POINTING.items():
        if name in metrics:
            table.add_row(words, *_value(name, metrics[name]))
    if "baseline_majority" in metrics:
        table.add_row("always guessing the most frequent class", *_value("accuracy", metrics["baseline_majority"]))
    out.print(table)


def show_candidates(candidates: "Sequence[Candidate]") -> None:
    """The models that were compared, with the one that was kept."""
    table = new_table("", "validation log-loss#", "test accuracy#", "95 % interval#", title="compared")
    for candidate in candidates:
        accuracy = _value("accuracy", candidate.accuracy) if candidate.accuracy else ("–", "")
        name = f"[bold]{safe(candidate.name)}[/bold] (kept)" if candidate.kept else safe(candidate.name)
        table.add_row(name, f"{candidate.val_log_loss:.4f}", *accuracy)
    out.print()
    out.print(table)


def show_dry_run(outcome: "Outcome") -> None:
    """What would be done."""
    plan = outcome.plan
    if plan is None:
        return
    table = new_table("class", "train#", "validation#", "test#")
    for name in plan.scan.classes:
        parts = (sum(row.label == name and row.split == part for row in plan.rows) for part in ("train", "val", "test"))
        table.add_row(safe(name), *(f"{count:,}" for count in parts))
    out.print(table)
    out.print()
    unreadable, ignored = len(plan.scan.unreadable), len(plan.scan.ignored)
    out.print(f"{len(plan.scan.photos):,} photos, {unreadable:,} unreadable, {ignored:,} ignored")
    out.print(f"model: {safe(plan.source.name)}, {plan.source.parameters / 1e6:.1f} M parameters")
    download = f"{plan.source.download_bytes / 1e6:,.0f} MB" if plan.source.download_bytes else "nothing"
    out.print(f"to download: {download}")
    seconds, memory = plan.seconds(), plan.memory_gb()
    if seconds is not None and memory is not None:
        out.print(f"time: about {_duration(seconds)} on {plan.recipe.train.device}")
        out.print(f"memory: about {memory:.1f} GB")
    size = f"about {plan.run_bytes() / 1e6:,.0f} MB"
    out.print(f"would be written: {safe(outcome.run)}, {size}: {', '.join(plan.run_contents())}", soft_wrap=True)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(seconds, 1):.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def _value(name: str, metric: "Metric") -> tuple[str, str]:
    form = "{:.4f}" if name == "log_loss" else "{:.1%}"
    known = metric.ci_low is not None and metric.ci_high is not None
    return form.format(metric.value), f"{form.format(metric.ci_low)} – {form.format(metric.ci_high)}" if known else ""
