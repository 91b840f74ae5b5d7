"""Live progress: bars where there is a terminal, one plain line per epoch where there is none."""

from rich.progress import TaskID

from pcn_cli.cli.console import console, new_bars, safe, say, verbosity
from pcn_cli.records.metrics import Finding
from pcn_cli.records.run import EpochRow
from pcn_cli.stages.callback import Callback


class LiveProgress(Callback):
    """Draws what a stage tells; use it as a context manager so that bars are taken away at the end."""

    def __init__(self) -> None:
        self._bars = new_bars()
        self._tasks: dict[str, TaskID] = {}
        self.told: list[Finding] = []  # what a person has seen of the findings

    def __enter__(self) -> "LiveProgress":
        self._bars.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._bars.stop()

    def on_stage(self, title: str) -> None:
        for task in tuple(self._tasks):
            self._remove(task)
        say(f"[bold]{safe(title)}[/bold]")

    def on_progress(self, title: str, done: int, total: int) -> None:
        self._show(title, done, total)
        if done >= total:
            self._remove(title)

    def on_step(self, step: int, total: int, loss: float, lr: float, images_per_second: float) -> None:
        self._show("  steps", step, total, f"loss {loss:.3f}  rate {lr:.1e}  {images_per_second:.0f} img/s")

    def on_epoch(self, row: EpochRow, epochs: int) -> None:
        self._show(f"  {row.phase}", row.epoch, epochs, f"accuracy {row.val_accuracy:.1%}")
        every = max(1, epochs // 10) if row.phase == "probe" and console.is_terminal else 1
        if row.epoch % every == 0 or row.epoch == epochs:
            say(
                f"  {row.phase} {row.epoch:>3}/{epochs}  train loss {row.train_loss:.4f}"
                f"  validation loss {row.val_loss:.4f}  accuracy {row.val_accuracy:.1%}"
                f"  rate {row.lr:.1e}  {row.images_per_second:,.0f} img/s  {row.memory_mb:,.0f} MB"
            )

    def on_choice(self, key: str, value: object, reason: str) -> None:
        say(f"  {safe(key)}: {safe(value)}  [dim]{safe(reason)}[/dim]")

    def on_finding(self, finding: Finding) -> None:
        if console.is_terminal and not verbosity.quiet:
            self.told.append(finding)
        say(f"  [bold]{safe(finding.severity)}[/bold]: {safe(finding.title)}. {safe(finding.evidence)}")
        if finding.remedy:
            say(f"    [dim]{safe(finding.remedy)}[/dim]")

    def on_note(self, text: str) -> None:
        say(f"  {safe(text)}")

    def _show(self, title: str, done: int, total: int, note: str = "") -> None:
        if title not in self._tasks:
            self._tasks[title] = self._bars.add_task(safe(title), total=total, note=note)
        self._bars.update(self._tasks[title], completed=done, total=total, note=note)

    def _remove(self, title: str) -> None:
        self._bars.remove_task(self._tasks.pop(title))
