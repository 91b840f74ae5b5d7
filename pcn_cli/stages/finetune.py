"""Finetune: the whole way, from a folder of photos to a report."""

import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from typing import Any

from pcn_cli.data.boxes.read import read_boxes
from pcn_cli.data.masks import refuse_missing
from pcn_cli.data.split import fingerprint
from pcn_cli.errors import PcnError, RecipeError, ResourceError, RunError, StoppedError, command
from pcn_cli.files.atomic import check_place, explain_refusal, sha256_of
from pcn_cli.files.folder import hold_folder
from pcn_cli.files.names import refuse_inside
from pcn_cli.metrics.definitions import described
from pcn_cli.metrics.findings import Observations, findings
from pcn_cli.models.licence import check_licence
from pcn_cli.models.sources import find_source
from pcn_cli.models.sources.base import LOCAL_PREFIX
from pcn_cli.models.weights import Fetcher
from pcn_cli.models.zoo import look_up_card
from pcn_cli.recipe.arguments import with_recipe_options
from pcn_cli.recipe.load import LoadedRecipe, load_recipe, read_flags
from pcn_cli.recipe.schema import OPTIONS, WEIGHTS, FailOn, Recipe
from pcn_cli.records.change import Change
from pcn_cli.records.codec import to_plain
from pcn_cli.records.decisions import Decision
from pcn_cli.records.evaluation import LearningCurve
from pcn_cli.records.metrics import Candidate, ClassRow, Finding, Metric, Trunk, Trunks
from pcn_cli.records.photos import Scan, SplitRow
from pcn_cli.runs.evaluation import Evaluation, read_evaluation
from pcn_cli.runs.rundir import RUNS, RunDir, list_runs, new_run_dir, set_latest
from pcn_cli.runs.state import (
    photo_root,
    read_record,
    recording_outcome,
    recording_stage,
    start_run,
    sweep_parts,
    update_record,
)
from pcn_cli.runs.store import DECISIONS, SCAN, TRUNKS, read_recipe, write_recipe, write_scan, write_split
from pcn_cli.stages.callback import Callback, LoggingCallback, OnEpoch
from pcn_cli.stages.crops import crops_folder, keep_crops
from pcn_cli.stages.evaluate_run import evaluate_run, find_marks
from pcn_cli.stages.inference.load import model_source, open_own_model
from pcn_cli.stages.loggers import check_logger, open_logger
from pcn_cli.stages.photos import check_leaks, describe_parts, read_unchanged, refuse_leaks
from pcn_cli.stages.plan import Plan, make_plan
from pcn_cli.stages.refusals import refuse_early
from pcn_cli.stages.report import report_run
from pcn_cli.stages.train.jobs import help_lead
from pcn_cli.stages.train.tokens import sweep_tokens
from pcn_cli.stages.train.train import PartTokens, train_run
from pcn_cli.stages.trunks import choose_trunk
from pcn_cli.training.device import choose_device
from pcn_cli.training.join import current_ranks, joined_ranks
from pcn_cli.training.stop import StopRequest

_MOST_ROWS = 40  # classes that a notebook shows
SCANNING, CHOOSING, TRAINING = "scan and split", "choose the model", "train"
MEASURING, REPORTING = "evaluate and explain", "report"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What `finetune` gave; after a dry run only `plan` and the folder that would be made."""

    run: Path
    plan: Plan | None = None
    report: Path | None = None
    metrics: dict[str, Metric] = field(default_factory=dict)
    per_class: tuple[ClassRow, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    findings: tuple[Finding, ...] = ()
    learning_curve: LearningCurve | None = None
    change: Change | None = None
    kept: str = ""
    models: tuple[Trunk, ...] = ()
    suspects: int = 0  # photos whose label may be wrong

    def _repr_html_(self) -> str:
        """What a notebook shows of it: the headline with its interval, the classes, and the way to the report."""
        headline = self.metrics.get("accuracy") or self.metrics.get("mean_average_precision")
        said = f"{self.run}: only planned" if headline is None else f"{headline.words.title} {headline.value:.1%}"
        if headline is not None and headline.ci_low is not None and headline.ci_high is not None:
            said += f" ({headline.ci_low:.1%} to {headline.ci_high:.1%}) on {headline.n:,} test photos"
        cells = (
            (row.label, "–" if row.recall is None else f"{row.recall:.1%}", f"{row.support:,}")
            for row in self.per_class[:_MOST_ROWS]
        )
        head = "<tr><th>class</th><th>found</th><th>test photos</th></tr>"
        rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in cells)
        table = f"<table>{head}{rows}</table>" if rows else ""
        link = f'<p><a href="{escape(self.report.resolve().as_uri())}">the report</a></p>' if self.report else ""
        return f"<p><strong>{escape(said)}</strong></p>{table}{link}"

    def plain(self) -> dict[str, Any]:
        """The outcome as JSON."""
        if self.plan is not None:
            return {"run": str(self.run), **self.plan.plain()}
        names = ("kept", "metrics", "per_class", "candidates", "findings", "models")
        figures = {name: getattr(self, name) for name in names}
        if self.learning_curve:
            figures["learning_curve"] = self.learning_curve
        if self.change:
            figures["change"] = self.change
        return {"run": str(self.run), "report": str(self.report), **to_plain(figures)}


@with_recipe_options
def finetune(
    photos: str | Path | None = None,
    *,
    recipe: str | Path | None = None,
    settings: Sequence[str] = (),
    output: str | Path | None = None,
    resume: str | Path | None = None,
    fail_on: FailOn | None = None,
    accept_licence: bool = False,
    dry_run: bool = False,
    callback: Callback | None = None,
    on_epoch: OnEpoch | None = None,
    **options: Any,  # noqa: ANN401 - many types
) -> Outcome:
    """A classifier made from a folder of photos: scanned, split, trained, evaluated, explained and reported.

    The arguments are the options of `pcn finetune`, whose `--help` tells what each means; `settings` are texts of the
    form section.key=value, `model` is a name or a list of names to choose from. In a process that torchrun or its like
    started together with others, all of them work on the one run; in those other than rank 0 what comes back names
    the run and nothing else. `on_epoch` is called with each row of history.csv and the number of epochs of its phase.

    Raises:
        PcnError: of the kind that says what is wrong; a StoppedError's hint is the command that goes on.
    """
    weights = {name: options.pop(name) for name in WEIGHTS if name in options}
    with StopRequest() as stop, joined_ranks() as ranks, ExitStack() as scratch:
        if not ranks.leads:
            return Outcome(run=Path(help_lead(ranks)))
        asked, models = _load_lasting(recipe, settings, options)
        callback = LoggingCallback(callback or Callback(), poll=lambda: stop.check("stopped"))
        callback.epoch_listeners += [on_epoch] if on_epoch else []
        fetch = Fetcher(callback=callback, **weights)
        run = _find_stopped(resume, photos=photos, output=output)
        if run is not None:
            if dry_run:
                raise RecipeError("--dry-run has no effect with --resume", "leave one of the two out")
            _refuse_changes(run, asked, models, photos=photos, output=output)
            return _go_on(run, fetch, callback, stop, fail_on=fail_on)
        if photos is None:
            raise RecipeError("no folder of photos was named", "pcn finetune ./my_images")
        refuse_inside(Path(output) if output else RUNS, [Path(photos)])
        refuse_early(photos=photos, output=output, models=models)
        if not (output or dry_run):
            check_place(RUNS, elsewhere="choose another place with --output FOLDER")
        choose_device(asked.recipe.train.device)
        check_logger(asked.recipe.train.log)
        if asked.recipe.evaluate.boxes:
            read_boxes(Path(asked.recipe.evaluate.boxes), names=())  # at least it should be a file of boxes
        if asked.recipe.evaluate.masks:
            refuse_missing(Path(asked.recipe.evaluate.masks))
        for source in (find_source(model_source(name)) for name in models):
            source.check_available(offline=fetch.offline)
            callback.on_note(f"{source.name}: licence {check_licence(source, accepted=accept_licence)}")
        callback.on_plan(_stages(several=len(models) > 1))
        callback.on_stage(SCANNING)
        began = time.monotonic()
        several = models if len(models) > 1 else ()
        crops = None if dry_run else scratch.enter_context(crops_folder(asked.recipe.data, output))
        plan = make_plan(
            Path(photos),
            asked,
            measure=dry_run,
            models=several,
            offline=fetch.offline,
            crops=crops,
            callback=callback,
        )
        callback.on_note(describe_parts(plan.rows, plan.scan))
        find_marks(
            plan.recipe, [row for row in plan.rows if row.split == "test"], plan.scan, root=Path(photos)
        )  # what is wrong with them should be said now
        _tell_leaks(plan.leaks, callback, fail_on=fail_on)
        for key, reason in plan.reasons.items():
            if plan.recipe.value(key) is not None:
                callback.on_choice(key, plan.recipe.value(key), reason)
        run = new_run_dir(photos, plan.model, output=output)
        if dry_run:
            return Outcome(run=run.root, plan=plan)
        _bring_weights(plan.recipe, models, fetch)
        device = plan.recipe.train.device or ""
        with start_run(run, kind="train", photos=plan.photos, card=plan.model, device=device):
            keep_crops(crops, run)
            _write_plan(run, plan, began=began)
            update_record(run, devices=ranks.world)
            return _finish(run, plan.rows, plan.scan, fetch, callback, stop)


def _stages(*, several: bool) -> tuple[str, ...]:
    """What is to be done, in its order; a model is only chosen where `several` are named."""
    return (SCANNING, *((CHOOSING,) if several else ()), TRAINING, MEASURING, REPORTING)


def _load_lasting(
    recipe: str | Path | None, settings: Sequence[str], options: dict[str, Any]
) -> tuple[LoadedRecipe, tuple[str, ...]]:
    """The recipe asked for, with the first of the models, and all of these.

    Paths of flags and of models are absolute, so that a resumed run finds them anywhere.
    """
    named = options.get("model")
    models = list(named) if isinstance(named, (list, tuple)) else [] if named is None else [named]
    flags = read_flags(options | {"model": next(iter(models), None)})
    for key, value in flags.items():
        if isinstance(value, (str, Path)) and OPTIONS[key].flag in ("FILE", "RUN", "DIR"):
            flags[key] = str(Path(value).resolve())
    asked = load_recipe(recipe, settings=settings, flags=flags)
    lasting = tuple(_name_lasting(str(name)) for name in models or [asked.recipe.model.name])
    if twice := [name for name, count in Counter(lasting).items() if count > 1]:
        raise RecipeError(f"--model {twice[0]}: stands twice", "name each model once")
    return replace(asked, recipe=asked.recipe.replace({"model.name": lasting[0]})), lasting


def _name_lasting(name: str) -> str:
    """The name of a model, with an absolute path where it is one."""
    if look_up_card(name):
        return name
    prefix = LOCAL_PREFIX if name.startswith(LOCAL_PREFIX) else ""
    path = Path(name.removeprefix(prefix)).expanduser()
    if prefix or (path.exists() and (len(path.parts) > 1 or path.is_file() or (path / "run.json").is_file())):
        return f"{prefix}{path.resolve()}"
    return name


def _bring_weights(recipe: Recipe, models: Sequence[str], fetch: Fetcher) -> None:
    """Download what is not here yet, before there is a run that could be left behind."""
    teachers = [recipe.train.teacher] if recipe.train.teacher else []
    for name in (*(models if recipe.model.pretrained else ()), *teachers):
        find_source(model_source(name)).bring(fetch=fetch)


def _to_keep(one: Decision, root: Path) -> Decision:
    """A decision as later runs find its photo: by its content, and one to add from wherever they are typed."""
    if one.decision == "add":
        return replace(one, folder=str(Path(one.folder).absolute()))
    place = root / one.file
    known = one.sha256 or (sha256_of(place) if place.is_file() else "")
    return replace(one, sha256=known, folder="")


def _write_plan(run: RunDir, plan: Plan, *, began: float) -> None:
    with recording_outcome(run, done="running"):
        with recording_stage(run, "scan", (run.scan, run.unreadable), began=began):
            write_scan(run, plan.scan)
        with recording_stage(run, "split", (run.split,)):
            write_split(run, plan.rows)
        update_record(run, fingerprint=fingerprint(plan.rows))
        if plan.compared:
            TRUNKS.write(run, Trunks(models=plan.compared))
        recipe = plan.asked or plan.recipe
        if plan.decisions:
            # With its own copy the recipe can be followed again.
            root = photo_root(run)
            DECISIONS.write(run, [_to_keep(one, root) for one in plan.decisions])
            recipe = recipe.replace({"data.decisions": str(run.decisions.absolute())})
        # The recipe comes last: a run that has one can be resumed.
        write_recipe(run, recipe, {} if plan.asked else plan.reasons)


def _tell_leaks(check: Observations, callback: Callback, *, fail_on: FailOn | None) -> None:
    refuse_leaks(check, fail_on)
    for finding in findings(check):
        callback.on_finding(finding)


def _go_on(
    run: RunDir, fetch: Fetcher, callback: LoggingCallback, stop: StopRequest, *, fail_on: FailOn | None
) -> Outcome:
    """What a stopped run came to, unless its photos changed."""
    record = read_record(run)
    if record.status == "finished" and record.stages.keys() >= {"train", "evaluate", "report"}:
        callback.on_note(f"{run.root} is finished; nothing is left to do")
        return _outcome(read_evaluation(run))
    with hold_folder(run.root):
        sweep_parts(run)
        sweep_tokens(run)
        scan, rows = SCAN.read(run), read_unchanged(run)
        callback.on_plan(_stages(several=run.trunks.is_file())[1:])
        callback.on_note(describe_parts(rows, scan))
        _tell_leaks(check_leaks(rows, scan), callback, fail_on=fail_on)
        devices = current_ranks().world
        if devices != record.devices:
            callback.on_note(f"{record.devices} devices worked on it before, now {devices}: rounding may differ")
        update_record(run, status="running", devices=devices)
        return _finish(run, rows, scan, fetch, callback, stop)


def _finish(
    run: RunDir, rows: Sequence[SplitRow], scan: Scan, fetch: Fetcher, callback: LoggingCallback, stop: StopRequest
) -> Outcome:
    """What the run came to after the stages that were not finished; the caller holds it, and its photos are `rows`."""
    recipe = read_recipe(run)
    name = recipe.train.log
    with open_logger(name, run, recipe, on_note=callback.on_note) if name else nullcontext() as told:
        callback.epoch_listeners += [told.on_epoch] if told else []
        outcome = _do_stages(run, rows, scan, fetch, callback, stop)
        if told:
            told.on_end(outcome.metrics)
    return outcome


def _do_stages(
    run: RunDir, rows: Sequence[SplitRow], scan: Scan, fetch: Fetcher, callback: Callback, stop: StopRequest
) -> Outcome:
    """What came of the stages, one after the other."""
    recipe, evaluation = read_recipe(run), None
    with _telling_how_to_go_on(run), recording_outcome(run), ExitStack() as scratch:
        known: PartTokens = {}
        tokens = None
        if run.trunks.is_file() and "choose" not in read_record(run).stages:
            callback.on_stage(CHOOSING)
            recipe, known = choose_trunk(run, tuple(rows), scan, fetch=fetch, callback=callback, stop=stop)
            for cache in known.values():
                scratch.enter_context(cache)
        if "train" not in read_record(run).stages:
            callback.on_stage(TRAINING)
            tokens = train_run(run, recipe, rows, fetch=fetch, callback=callback, stop=stop, known=known)
            if tokens is not None:
                scratch.enter_context(tokens)
        if "evaluate" not in read_record(run).stages:
            callback.on_stage(MEASURING)
            model = open_own_model(run, recipe, device=recipe.train.device)
            evaluation = evaluate_run(run, model, rows, scan, recipe=recipe, callback=callback, tokens=tokens)
            scratch.close()
        if "report" not in read_record(run).stages:
            callback.on_stage(REPORTING)
            report_run(run, callback=callback, evaluation=evaluation)
        if not recipe.train.keep_checkpoints:
            shutil.rmtree(run.checkpoints, ignore_errors=True)
        _name_latest(run, callback)
    return _outcome(evaluation or read_evaluation(run))


@contextmanager
def _telling_how_to_go_on(run: RunDir) -> Iterator[None]:
    """A context whose errors name the command that goes on with the run; what a system refuses is told in words."""
    go_on = command("finetune", "--resume", run.root)
    try:
        yield
    except (StoppedError, KeyboardInterrupt) as error:
        number = error.exit_code - 128 if isinstance(error, StoppedError) else signal.SIGINT
        message = error.message if isinstance(error, StoppedError) else "stopped"
        raise StoppedError(message, go_on, signal_number=number) from error
    except PcnError as error:
        error.hint = f"{error.hint}; then {go_on}" if error.hint else go_on
        raise
    except OSError as error:
        refusal = explain_refusal(error, Path(os.fsdecode(error.filename or run.root)), doing="use")
        refusal.hint = f"{refusal.hint}; then {go_on}"
        raise refusal from error


def _name_latest(run: RunDir, callback: Callback) -> None:
    """Let `run` be the one that commands without a RUN use, unless that would write among the photos."""
    try:
        refuse_inside(RUNS, [Path(read_record(run).photos)])
    except ResourceError:
        callback.on_note(f"this folder holds the photos, so nothing is written here; name the run: {run.root}")
        return
    try:
        set_latest(run)
    except ResourceError as error:  # of a run that is finished and whole
        callback.on_note(f"{error.message}; name the run: {run.root}")


def _outcome(evaluation: Evaluation) -> Outcome:
    run, compared = evaluation.run, TRUNKS.find(evaluation.run)
    return Outcome(
        run=run.root,
        report=run.report / "index.html",
        metrics=described(evaluation.metrics),
        per_class=evaluation.per_class,
        candidates=evaluation.candidates,
        findings=evaluation.findings,
        learning_curve=evaluation.learning_curve,
        change=evaluation.change,
        kept=read_record(run).kept,
        models=compared.models if compared else (),
        suspects=len(evaluation.suspects),
    )


def _find_stopped(resume: str | Path | None, *, photos: str | Path | None, output: str | Path | None) -> RunDir | None:
    """The run to go on with; None when a new one is to be started."""
    if resume is None:
        return None
    if str(resume) == "auto":
        if photos is None:
            raise RecipeError("--resume auto needs to know which photos", "pcn finetune PHOTOS --resume auto")
        if output:  # a script that is started again means this very run, even if it is finished
            named = RunDir(Path(output))
            return named if _is_training(named, Path(photos)) else None
        trainings = (run for run in list_runs() if _is_training(run, Path(photos)))
        unfinished = [run for run in trainings if read_record(run).status != "finished"]
        return max(unfinished, key=lambda run: read_record(run).created, default=None)
    run = RunDir(Path(resume))
    kind = read_record(run).kind
    if kind != "train":
        raise RunError(f"{run.root} was never trained: it only holds what `{kind}` gave", "pcn runs")
    if not run.recipe.is_file():
        again = command("finetune", read_record(run).photos, "--output", run.root)
        raise RunError(f"{run.root} was stopped before its plan was made", again)
    return run


def _is_training(run: RunDir, photos: Path) -> bool:
    """Whether it is a run with a plan that trains on these photos."""
    if not (run.record.is_file() and run.recipe.is_file()):
        return False
    try:
        record = read_record(run)
    except RunError:
        return False
    return (record.kind, Path(record.photos)) == ("train", photos.resolve())


def _refuse_changes(
    run: RunDir,
    asked: LoadedRecipe,
    models: tuple[str, ...],
    *,
    photos: str | Path | None,
    output: str | Path | None,
) -> None:
    """Raise a RunError with the differences where what was repeated is not what `run` was started with."""
    record, own = read_record(run), read_recipe(run)
    differences = []
    if photos is not None and Path(photos).resolve() != Path(record.photos):
        differences.append(f"PHOTOS: the run has {record.photos}, now {photos}")
    if output is not None and Path(output).resolve() != run.root.resolve():
        differences.append(f"--output: the run is {run.root}, now {output}")
    for key, origin in asked.origins.items():
        was, now = own.value(key), asked.recipe.value(key)
        if key == "model.name":
            compared = TRUNKS.find(run)
            was = ", ".join(sorted(trunk.model for trunk in compared.models)) if compared else was
            now = ", ".join(sorted(models))
        left_open = OPTIONS[key].chosen == "anew" and was is None
        if was != now and not left_open:
            differences.append(f"{origin}: the run has {was}, now {now}")
    if differences:
        raise RunError(
            "\n  ".join([f"{run.root} was started with other settings:", *differences]),
            command("finetune", "--resume", run.root),
        )
