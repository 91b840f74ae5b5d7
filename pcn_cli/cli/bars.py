"""Progress bars on standard error, in a file of their own: what only shows a help need not import them."""

import time
from collections.abc import Iterable

from rich.console import RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.spinner import Spinner
from rich.text import Text

from pcn_cli.cli.console import console, duration, verbosity


class _Times(ProgressColumn):
    """How long a piece of work has taken, and about how long it still will."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        passed, left = duration(task.elapsed or 0), task.time_remaining
        return Text(f"{passed} so far" + ("" if left is None else f", about {duration(left)} left"), style="dim")


class Bars(Progress):
    """Progress bars below a line that says what is being done and for how long, so that nothing is ever silent.

    They vanish when done, and where there is no terminal they never show.
    """

    def __init__(self) -> None:
        self.doing, self._began, self._spinner = "", time.monotonic(), Spinner("dots")
        super().__init__(
            TextColumn("  {task.description}"),
            BarColumn(bar_width=14),
            TextColumn("{task.percentage:>3.0f}%"),
            _Times(),
            TextColumn("{task.fields[note]}"),
            console=console,
            transient=True,
            disable=verbosity.quiet or not console.is_terminal,
        )

    def begin(self, doing: str) -> None:
        """Say in the first line what is being done from now on."""
        self.doing, self._began = doing, time.monotonic()

    @property
    def seconds(self) -> float:
        """How long it has been done."""
        return time.monotonic() - self._began

    def get_renderables(self) -> Iterable[RenderableType]:
        """The line, and the bars below it."""
        if self.doing:
            self._spinner.text = Text(f"{self.doing}, {duration(self.seconds)} so far")
            yield self._spinner
        if self.tasks:
            yield self.make_tasks_table(self.tasks)
