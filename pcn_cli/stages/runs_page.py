"""All runs of a folder as a page, with what tells which of them were measured on the same photos."""

import hashlib
import shlex
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from pcn_cli.errors import PcnError, RunError
from pcn_cli.files.atomic import write_text
from pcn_cli.metrics.definitions import described
from pcn_cli.recipe.arguments import checked
from pcn_cli.records.photos import SplitRow
from pcn_cli.report.runs_page import RunLine, render_runs
from pcn_cli.runs.rundir import RUNS, RunDir
from pcn_cli.runs.state import read_record
from pcn_cli.runs.store import METRICS, read_split
from pcn_cli.stages.runs import RunRow, list_runs


@checked
def write_runs_page(runs: Path = RUNS) -> Path:
    """The path of a page with a row for each run in `runs`, beside them.

    Raises:
        RunError: there are no runs.
        ResourceError: it cannot be written.
    """
    rows = list_runs(runs)
    if not rows:
        raise RunError(f"there are no runs in {runs}", "make one with `pcn finetune PHOTOS`")
    page = runs / "runs.html"
    comparisons = [
        (path.stem.removeprefix("compare-"), quote(path.name)) for path in sorted(runs.glob("compare-*.html"))
    ]
    write_text(page, render_runs([_line(row, RunDir(runs / row.name)) for row in rows], comparisons=comparisons))
    return page


def _line(row: RunRow, run: RunDir) -> RunLine:
    """What the page says of a run; of one that is damaged only what can be read."""
    pages = (run.report / "index.html", run.report_file)
    report = next((page.relative_to(run.root.parent).as_posix() for page in pages if page.is_file()), "")
    word = f"{run.root.parent.name}/{row.name}" if row.name.startswith("-") else row.name  # a name is no option
    line = RunLine(
        name=row.name,
        word=shlex.quote(word),
        status=row.status,
        latest=row.latest,
        bytes=row.bytes,
        report=quote(report),
    )
    try:
        record, metrics = read_record(run), described(METRICS.find(run) or {})
        split = read_split(run) if run.split.is_file() else ()
    except PcnError:
        return line
    quality = metrics.get("accuracy") or metrics.get("mean_average_precision")
    return replace(
        line,
        made=record.created,
        source=Path(record.photos).name,
        photos=len(split) if split else None,
        classes=len({name for one in split for name in one.labels}) or None,
        model=record.card,
        kept=record.kept,
        tested=fingerprint_test(split) if quality else "",
        several=any(one.multi_label for one in split),
        quality=quality,
        log_loss=metrics.get("log_loss"),
        seconds=sum(stage.seconds for stage in record.stages.values()) if record.stages else None,
    )


def fingerprint_test(split: Iterable[SplitRow]) -> str:
    """What is the same for two runs whose test photos have the same content, labels and number, wherever they lie."""
    photos = sorted(f"{row.sha256} {row.label}" for row in split if row.split == "test")
    return hashlib.sha256("\n".join(photos).encode("utf-8", "surrogateescape")).hexdigest() if photos else ""
