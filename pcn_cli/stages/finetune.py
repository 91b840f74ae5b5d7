"""Finetune: the whole way, from a folder of photos to a report."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pcn_cli.data.split import fingerprint, read_split, write_split
from pcn_cli.errors import RecipeError, RunError, StoppedError
from pcn_cli.files.locks import hold_folder
from pcn_cli.recipe.fields import read_value
from pcn_cli.recipe.load import load_recipe
from pcn_cli.records.codec import to_plain
from pcn_cli.records.metrics import Candidate, ClassRow, Metric
from pcn_cli.runs.rundir import RunDir, list_runs, new_run_dir, set_latest
from pcn_cli.runs.state import read_record, recording_outcome, recording_stage, start_run, update_record
from pcn_cli.stages.candidates_file import read_candidates
from pcn_cli.stages.evaluate import check_unchanged, evaluate_run, read_measured
from pcn_cli.stages.listener import Listener, LoggingListener
from pcn_cli.stages.load_model import Fetcher
from pcn_cli.stages.plan import Plan, make_plan
from pcn_cli.stages.recipe_file import read_recipe, write_recipe
from pcn_cli.stages.report import report_run
from pcn_cli.stages.scan import write_scan
from pcn_cli.stages.train import train_run


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What `finetune` gave; after a dry run only `plan` and the folder that would be made."""

    run: Path
    plan: Plan | None = None
    report: Path | None = None
    metrics: dict[str, Metric] = field(default_factory=dict)
    per_class: tuple[ClassRow, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    kept: str = ""

    def plain(self) -> dict[str, Any]:
        """The outcome as JSON."""
        if self.plan is not None:
            return {"run": str(self.run), **self.plan.plain()}
        return {
            "run": str(self.run),
            "report": str(self.report),
            "kept": self.kept,
            "metrics": {name: to_plain(metric) for name, metric in self.metrics.items()},
            "candidates": [to_plain(candidate) for candidate in self.candidates],
        }


def finetune(
    photos: str | Path | None = None,
    *,
    model: str | Path | None = None,
    tune: str | None = None,
    recipe: str | Path | None = None,
    settings: Sequence[str] = (),
    epochs: int | None = None,
    lr: float | None = None,
    batch_size: int | None = None,
    size: int | None = None,
    fit: str | None = None,
    time: str | None = None,
    workers: int | None = None,
    output: str | Path | None = None,
    resume: str | Path | None = None,
    device: str | None = None,
    seed: int | None = None,
    labels: str | Path | None = None,
    keep_checkpoints: bool | None = None,
    dry_run: bool = False,
    offline: bool = False,
    mirror: str | None = None,
    listener: Listener | None = None,
) -> Outcome:
    """A classifier made from a folder of photos: scanned, split, trained, evaluated, explained and reported.

    The arguments are the options of `pcn finetune`; `settings` are texts of the form section.key=value.

    Raises:
        PcnError: of the kind that says what is wrong; a StoppedError's hint is the command that goes on.
    """
    listener = LoggingListener(listener or Listener())
    fetch = Fetcher(offline=offline, mirror=mirror, listener=listener)
    flags: dict[str, Any] = {
        "model.name": None if model is None else str(model),
        "train.tune": tune,
        "train.epochs": epochs,
        "train.lr": lr,
        "train.batch_size": batch_size,
        "train.time": time,
        "train.workers": workers,
        "train.device": device,
        "train.keep_checkpoints": keep_checkpoints,
        "data.size": size,
        "data.fit": fit,
        "data.labels": None if labels is None else str(Path(labels).resolve()),
        "seed": seed,
    }
    stopped = _find_stopped(resume, photos=photos, output=output)
    if stopped is not None:
        _refuse_changes(stopped, photos=photos, recipe=recipe, settings=settings, flags=flags, output=output)
        return _go_on(stopped, fetch=fetch, listener=listener)
    if photos is None:
        raise RecipeError("no folder of photos was named", "pcn finetune ./my_images")
    loaded = load_recipe(None if recipe is None else str(recipe), settings=settings, flags=flags)
    listener.on_stage("scan and split")
    plan = make_plan(Path(photos), loaded, measure=dry_run, listener=listener)
    run = RunDir(Path(output)) if output else new_run_dir(Path(photos).resolve().name, plan.source.name)
    for key, reason in plan.reasons.items():
        if read_value(plan.recipe, key) is not None:
            listener.on_choice(key, read_value(plan.recipe, key), reason)
    if dry_run:
        return Outcome(run=run.root, plan=plan)
    with start_run(run, photos=plan.photos, card=plan.source.name, device=plan.recipe.train.device or ""):
        _write_plan(run, plan)
        return _walk(run, fetch=fetch, listener=listener)


def _write_plan(run: RunDir, plan: Plan) -> None:
    with recording_stage(run, "scan", (run.scan, run.unreadable)):
        write_scan(run, plan.scan)
    with recording_stage(run, "split", (run.split,)):
        write_split(run.split, plan.rows)
    # The recipe comes last: a run that has one can be resumed.
    write_recipe(run.recipe, plan.recipe, plan.reasons)
    update_record(run, fingerprint=fingerprint(plan.rows))


def _go_on(run: RunDir, *, fetch: Fetcher, listener: Listener) -> Outcome:
    record = read_record(run)
    if record.status == "finished":
        listener.on_note(f"{run.root} is finished; nothing is left to do")
        return _outcome(run)
    with hold_folder(run.root):
        check_unchanged(run, read_split(run.split), Path(record.photos))
        update_record(run, status="running")
        return _walk(run, fetch=fetch, listener=listener)


def _walk(run: RunDir, *, fetch: Fetcher, listener: Listener) -> Outcome:
    """The stages that are not finished yet, in their order; the caller holds the run."""
    recipe = read_recipe(run.recipe)
    try:
        with recording_outcome(run):
            if "train" not in read_record(run).stages:
                listener.on_stage("train")
                train_run(run, recipe, fetch=fetch, listener=listener)
            if "evaluate" not in read_record(run).stages:
                listener.on_stage("evaluate and explain")
                evaluate_run(run, device=None, listener=listener)
            if "report" not in read_record(run).stages:
                listener.on_stage("report")
                report_run(run, listener=listener)
            if not recipe.train.keep_checkpoints:
                shutil.rmtree(run.checkpoints, ignore_errors=True)
    except (StoppedError, KeyboardInterrupt) as error:
        number = error.exit_code - 128 if isinstance(error, StoppedError) else 2
        message = error.message if isinstance(error, StoppedError) else "stopped"
        raise StoppedError(message, f"pcn finetune --resume {run.root}", signal_number=number) from error
    set_latest(run)
    return _outcome(run)


def _outcome(run: RunDir) -> Outcome:
    measured = read_measured(run)
    return Outcome(
        run=run.root,
        report=run.report / "index.html",
        metrics=measured.metrics,
        per_class=measured.per_class,
        candidates=read_candidates(run),
        kept=read_record(run).kept,
    )


def _find_stopped(resume: str | Path | None, *, photos: str | Path | None, output: str | Path | None) -> RunDir | None:
    """The run to go on with; None when a new one is to be started."""
    if resume is None:
        return None
    if str(resume) == "auto":
        if photos is None:
            raise RecipeError("--resume auto needs to know which photos", "pcn finetune PHOTOS --resume auto")
        candidates = [RunDir(Path(output))] if output else list_runs()
        return next((run for run in reversed(candidates) if _is_unfinished(run, Path(photos))), None)
    run = RunDir(Path(resume))
    if not run.recipe.is_file():
        read_record(run)
        raise RunError(f"{run.root} was stopped before its plan was made", "start again with `pcn finetune PHOTOS`")
    return run


def _is_unfinished(run: RunDir, photos: Path) -> bool:
    if not (run.record.is_file() and run.recipe.is_file()):
        return False
    record = read_record(run)
    return record.status != "finished" and Path(record.photos) == photos.resolve()


def _refuse_changes(
    run: RunDir,
    *,
    photos: str | Path | None,
    recipe: str | Path | None,
    settings: Sequence[str],
    flags: dict[str, Any],
    output: str | Path | None,
) -> None:
    """Nothing, if all that was repeated is equal to what the run was started with.

    Raises:
        RunError: with the differences.
    """
    record, own = read_record(run), read_recipe(run.recipe)
    differences = []
    if photos is not None and Path(photos).resolve() != Path(record.photos):
        differences.append(f"PHOTOS: the run has {record.photos}, now {photos}")
    if output is not None and Path(output).resolve() != run.root.resolve():
        differences.append(f"--output: the run is {run.root}, now {output}")
    asked = load_recipe(None if recipe is None else str(recipe), settings=settings, flags=flags)
    for key, origin in asked.origins.items():
        was, now = read_value(own, key), read_value(asked.recipe, key)
        if was != now:
            differences.append(f"{origin}: the run has {was}, now {now}")
    if differences:
        raise RunError(
            "\n  ".join([f"{run.root} was started with other settings:", *differences]),
            f"pcn finetune --resume {run.root}",
        )
