"""All runs of a folder as one page: a table to sort and filter, with figures told apart by what they measured."""

from collections.abc import Sequence
from dataclasses import dataclass

from pcn_cli.records.metrics import Metric
from pcn_cli.report.page import render_alone

_STYLES = ("base", "tables", "gallery", "runs", "print")
_SCRIPTS = ("theme", "tables", "copy", "runs")


@dataclass(frozen=True, kw_only=True)
class RunLine:
    """What the page says of one run; `tested` tells the test photos of runs apart, "" where nothing was measured.

    `made` is a time in ISO 8601, `photos` counts all photos of the run and `source` names their folder; `quality` is
    the accuracy, or the mean average precision where photos have `several` labels. `report` is the address of its
    pages, `word` its name as it is typed.
    """

    name: str
    word: str
    status: str
    latest: bool = False
    made: str = ""
    source: str = ""
    photos: int | None = None
    classes: int | None = None
    model: str = ""
    kept: str = ""
    tested: str = ""
    several: bool = False
    quality: Metric | None = None
    log_loss: Metric | None = None
    seconds: float | None = None
    bytes: int = 0
    report: str = ""


@dataclass(frozen=True)
class TestPhotos:
    """The test photos that some runs have in common: a letter for them, and what a person knows them by."""

    letter: str
    source: str
    photos: int
    runs: int


def render_runs(lines: Sequence[RunLine], *, comparisons: Sequence[tuple[str, str]] = ()) -> str:
    """The whole page, the newest run first; `comparisons` are the names and addresses of pages that compare two."""
    newest = sorted(lines, key=lambda line: (line.made, line.name), reverse=True)
    tests = name_tests(lines)
    return render_alone(
        "runs.html",
        styles=_STYLES,
        scripts=_SCRIPTS,
        lines=[(line, tests.get(line.tested)) for line in newest],
        tests=list(tests.values()),
        comparisons=comparisons,
    )


def name_tests(lines: Sequence[RunLine]) -> dict[str, TestPhotos]:
    """The sets of test photos, by what tells them apart: A is that of the oldest run, after Z comes AA."""
    tests: dict[str, TestPhotos] = {}
    for line in sorted((line for line in lines if line.tested), key=lambda line: (line.made, line.name)):
        if line.tested not in tests:
            own = [other for other in lines if other.tested == line.tested]
            count = line.quality.n if line.quality else 0
            tests[line.tested] = TestPhotos(_letters(len(tests)), line.source, count, len(own))
    return tests


def _letters(number: int) -> str:
    rest, last = divmod(number, 26)
    return (_letters(rest - 1) if rest else "") + chr(ord("A") + last)
