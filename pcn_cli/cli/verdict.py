"""The end of a training: how good the model is in one sentence, three figures, and what to do next."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pcn_cli.cli.browser import has_desktop
from pcn_cli.cli.console import duration, out, safe, say, say_wrapped, show_table
from pcn_cli.errors import command
from pcn_cli.records.metrics import Metric, weakest_class

# Only named in signatures: `pcn --help` need not pay for what it imports.
if TYPE_CHECKING:
    from pcn_cli.stages.finetune import Outcome

_GOOD = 0.9  # of a class's photos found: below, more photos of it are the first thing to try


def show_verdict(outcome: "Outcome", *, seconds: float) -> None:
    """The verdict of a finished run, what to do with it, where its report lies, and how long it took."""
    for sentence in _sentences(outcome):
        say_wrapped(f"[bold]{safe(sentence)}[/bold]", indent=0, screen=out)
    rows = [(f"  {safe(name)}", safe(figure)) for name, figure in _figures(outcome)]
    if rows:
        show_table(("", ""), rows)
    if out.is_terminal:
        out.print()
        out.print("[bold]next[/bold]")
        for typed, why in _next_steps(outcome):
            out.print(f"  {safe(typed)}", soft_wrap=True)
            say_wrapped(f"[dim]{safe(why)}[/dim]", indent=4, screen=out)
        out.print()
    say(f"run: {safe(outcome.run)}")
    out.print(f"report: {safe(outcome.report)}", soft_wrap=True)
    say(f"done in {duration(seconds)}")


def _sentences(outcome: "Outcome") -> Iterator[str]:
    """How good the model is, and what it must beat."""
    metrics = outcome.metrics
    accuracy, precision = metrics.get("accuracy"), metrics.get("mean_average_precision")
    if accuracy is not None:
        right = f"{round(accuracy.value * accuracy.n):,} of {accuracy.n:,}"
        yield f"Right on {right} test photos: {accuracy.value:.1%}{_between(accuracy)}."
        if guessed := metrics.get("baseline_majority"):
            yield f"Always guessing the most frequent class would give {guessed.value:.1%}."
    elif precision is not None:
        yield f"Mean average precision {precision.value:.1%}{_between(precision)} on {precision.n:,} test photos."
        if guessed := metrics.get("baseline_prior_average_precision"):
            yield f"Answering every photo by how frequent the classes are would give {guessed.value:.1%}."
    if outcome.change:
        yield f"Beside {outcome.change.earlier}: {outcome.change.sentence}."


def _between(metric: Metric) -> str:
    return "" if metric.ci_low is None or metric.ci_high is None else f" ({metric.ci_low:.1%} to {metric.ci_high:.1%})"


def _figures(outcome: "Outcome") -> Iterator[tuple[str, str]]:
    """At most three further figures that a person acts on."""
    metrics, weakest = outcome.metrics, weakest_class(outcome.per_class)
    if weakest is not None and weakest.recall is not None:
        found = f"{round(weakest.recall * weakest.support):,} of {weakest.support:,} found"
        yield "weakest class", f"{weakest.label}, {found}"
    answered, right = metrics.get("threshold_coverage"), metrics.get("threshold_accuracy")
    if answered is not None and right is not None:
        yield "with the threshold", f"answers {answered.value:.1%} by itself, right on {right.value:.1%} of those"
    elif kept := [one for one in outcome.candidates if one.kept]:
        others = ", ".join(one.name for one in outcome.candidates if not one.kept)
        yield "kept", kept[0].name + (f", compared with {others}" if others else "")
    if outcome.suspects:
        yield "labels in doubt", f"{outcome.suspects:,} photos, on the report's page Desk"


def _next_steps(outcome: "Outcome") -> Iterator[tuple[str, str]]:
    """At most three commands to type, each with what it is for."""
    yield (
        command("report", outcome.run, "--open" if has_desktop() else "--single-file"),
        (
            "look at every photo: what it was taken for, and why"
            if has_desktop()
            else "the report as one file, to look at it on a machine with a screen"
        ),
    )
    yield (
        f"{command('predict', 'NEW_PHOTOS')} --model {command(outcome.run).removeprefix('pcn ')}",
        ("name what is on photos that nobody has labelled"),
    )
    weakest = weakest_class(outcome.per_class)
    if weakest is not None and weakest.recall is not None and weakest.recall < _GOOD:
        more = f"once there are more photos of {weakest.label}, the class it misses most; the old parts are kept"
        yield f"{command('finetune', 'PHOTOS')} --model {command(outcome.run).removeprefix('pcn ')}", more
