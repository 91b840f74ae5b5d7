"""Live progress: what is being done and for how long where there is a terminal, plain lines where there is none."""

from collections.abc import Sequence

from rich.progress import TaskID

from pcn_cli.cli.bars import Bars
from pcn_cli.cli.console import console, duration, safe, say, say_wrapped, verbosity
from pcn_cli.recipe.schema import OPTIONS
from pcn_cli.records.metrics import Finding
from pcn_cli.records.run import EpochRow
from pcn_cli.stages.callback import Callback

_MOST_LINES = 3  # of the evidence of a finding, unless everything is to be said


class LiveProgress(Callback):
    """Draws what a stage tells; use it as a context manager so that bars are taken away at the end."""

    def __init__(self) -> None:
        self._bars = Bars()
        self._tasks: dict[str, TaskID] = {}
        self._stages: tuple[str, ...] = ()
        self._stage = ""
        self._folded = 0  # choices that were made and not told
        self.told: list[Finding] = []  # what a person has seen of the findings

    def __enter__(self) -> "LiveProgress":
        self._bars.begin("starting")
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        self._bars.stop()
        if kind is None:
            self._end_stage()

    def on_plan(self, stages: Sequence[str]) -> None:
        self._stages = tuple(stages)

    def on_stage(self, title: str) -> None:
        for task in tuple(self._tasks):
            self._remove(task)
        if self._stages and title not in self._stages:  # a part of the present stage
            self._bars.doing = f"{self._stage}: {title}"
            return
        self._end_stage()
        number = f"{self._stages.index(title) + 1}/{len(self._stages)} " if self._stages else ""
        self._stage = f"{number}{title}"
        say(f"[bold]{safe(self._stage)}[/bold]")
        self._bars.begin(self._stage)

    def on_progress(self, title: str, done: int, total: int) -> None:
        self._show(title, done, total)
        if done >= total:
            self._remove(title)

    def on_step(self, step: int, total: int, loss: float, lr: float, images_per_second: float) -> None:
        more = f"  rate {lr:.1e}  {images_per_second:.0f} photos/s" if verbosity.verbose else ""
        self._show("steps", step, total, f"loss {loss:.3f}{more}")

    def on_epoch(self, row: EpochRow, epochs: int) -> None:
        self._show(row.phase, row.epoch, epochs)
        every = max(1, epochs // 10) if row.phase == "probe" and console.is_terminal else 1
        if row.epoch % every == 0 or row.epoch == epochs:
            more = f"  train loss {row.train_loss:.4f}  rate {row.lr:.1e}  {row.images_per_second:,.0f} photos/s"
            say(
                f"  {row.phase} {row.epoch:>3}/{epochs}  accuracy {row.val_accuracy:.1%}  F1 {row.val_macro_f1:.1%}"
                f"  loss {row.val_loss:.4f}" + (f"{more}  {row.memory_mb:,.0f} MB" if verbosity.verbose else "")
            )

    def on_choice(self, key: str, value: object, reason: str) -> None:
        option = OPTIONS.get(key)
        if verbosity.verbose or (option is not None and option.told and value != option.neutral):
            name = key if verbosity.verbose else key.rpartition(".")[2]
            say_wrapped(f"{safe(name)}: {safe(value)}  [dim]{safe(reason)}[/dim]")
        else:
            self._folded += 1

    def on_finding(self, finding: Finding) -> None:
        if console.is_terminal and not verbosity.quiet:
            self.told.append(finding)
        say_wrapped(f"[bold]{safe(finding.severity)}[/bold]: {safe(finding.title)}")
        most = None if verbosity.verbose else _MOST_LINES
        say_wrapped(safe(finding.evidence), indent=4, most_lines=most)
        if finding.remedy:
            say_wrapped(f"[dim]{safe(finding.remedy)}[/dim]", indent=4)

    def on_note(self, text: str) -> None:
        say_wrapped(safe(text))

    def _end_stage(self) -> None:
        """Say how long the stage took, and how much was left unsaid of it."""
        if self._folded > 1 and self._stages:  # else there is no run
            count = f"{self._folded} more choices"
            say_wrapped(f"[dim]{count}, each with its reason: -v says them, recipe.yaml in the run keeps them[/dim]")
        self._folded = 0
        if self._stage and self._bars.seconds >= 1:
            say(f"  [dim]took {duration(self._bars.seconds)}[/dim]")
        self._stage = ""

    def _show(self, title: str, done: int, total: int, note: str = "") -> None:
        if self._bars.disable:  # what nobody sees takes half a second of a thousand photos all the same
            return
        if title not in self._tasks:
            self._tasks[title] = self._bars.add_task(safe(title), total=total, note=note)
        self._bars.update(self._tasks[title], completed=done, total=total, note=note)

    def _remove(self, title: str) -> None:
        if title in self._tasks:
            self._bars.remove_task(self._tasks.pop(title))
