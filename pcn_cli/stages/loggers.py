"""The figures of a training, told to a logger that was asked for: TensorBoard, MLflow, Weights & Biases or trackio.

Nothing of them is imported unless asked for, and nothing leaves the machine unless the logger's own variables say so
(MLFLOW_TRACKING_URI, WANDB_MODE, TRACKIO_SPACE_ID, TRACKIO_SERVER_URL): without those all is written into the run.
Figures are those of history.csv, by phase and epoch, then those of the test part. No photo, no name of one and no path
is told.
"""

import hashlib
import importlib.util
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import asdict
from io import StringIO
from typing import Any, Protocol

from pcn_cli.errors import ResourceError
from pcn_cli.recipe.schema import Logger, Recipe
from pcn_cli.records.codec import to_plain
from pcn_cli.records.metrics import Metric
from pcn_cli.records.run import EpochRow
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.state import read_record

_PROJECT = "pcn"


class FigureLog(Protocol):
    """Where figures go: by name, such as tune/val_loss, at a step of that name's own count, or once for all."""

    def log(self, figures: Mapping[str, float], *, phase: str, step: int) -> None:
        """Take the figures of one epoch of a phase."""

    def summarise(self, figures: Mapping[str, float]) -> None:
        """Take the figures of the whole run."""

    def close(self, *, failed: bool) -> None:
        """Write what is not written yet."""


class RunLogger:
    """A run's figures on their way into a log; where that fails, `on_note` hears of it once, and the run goes on."""

    def __init__(self, log: FigureLog, on_note: Callable[[str], None]) -> None:
        self._log, self._on_note, self._works = log, on_note, True

    def on_epoch(self, row: EpochRow, _epochs: int) -> None:
        """Tell the figures of an epoch that is done."""
        self._try(lambda: self._log.log(name_figures(row), phase=row.phase, step=row.epoch))

    def on_end(self, metrics: Mapping[str, Metric]) -> None:
        """Tell the figures of the test part."""
        self._try(lambda: self._log.summarise({f"test/{key}": metric.value for key, metric in metrics.items()}))

    def close(self, *, failed: bool) -> None:
        """Write what is not written yet."""
        self._try(lambda: self._log.close(failed=failed))

    def _try(self, tell: Callable[[], None]) -> None:
        if not self._works:
            return
        try:
            tell()
        except Exception as error:  # noqa: BLE001 - a server that is gone must not cost a training
            self._works = False
            self._on_note(f"the log takes no more figures, and the run goes on without it: {error}")


def check_logger(name: Logger | None) -> None:
    """Refuse a logger whose package is not installed."""
    if name is not None and importlib.util.find_spec(name) is None:
        raise ResourceError(f"--log {name} needs the package {name}", f"pip install 'pcn-cli[{name}]'")


@contextmanager
def open_logger(name: Logger, run: RunDir, recipe: Recipe, *, on_note: Callable[[str], None]) -> Iterator[RunLogger]:
    """The log of that name for `run`, which is closed at the end; a stopped run goes on in the same one.

    Raises:
        ResourceError: its package is not installed, or it cannot begin.
    """
    check_logger(name)
    try:
        log = RunLogger(_LOGS[name](run, _tell_recipe(recipe)), on_note)
    except Exception as error:  # whatever the package raises: it is not ours to know
        raise ResourceError(f"--log {name} cannot begin: {error}", "leave --log out, or see its settings") from error
    try:
        yield log
    except BaseException:
        log.close(failed=True)
        raise
    log.close(failed=False)


def name_figures(row: EpochRow) -> dict[str, float]:
    """The figures of an epoch by name, such as tune/val_loss; nothing that says where it stands."""
    kept = {key: value for key, value in asdict(row).items() if key not in ("phase", "epoch")}
    return {f"{row.phase}/{key}": float(value) for key, value in kept.items() if value is not None}


def _tell_recipe(recipe: Recipe) -> dict[str, Any]:
    """The recipe's values by key; of paths only the last name, since where files lie is nobody's business."""
    plain, told = to_plain(recipe), dict[str, Any]()
    for section, values in plain.items():
        for key, value in values.items() if isinstance(values, dict) else [("", values)]:
            if value is not None:
                shown = re.sub(r".*[\\/]", "", value) if isinstance(value, str) else value
                told[f"{section}.{key}".rstrip(".")] = shown
    return told


class _TensorBoard:
    def __init__(self, run: RunDir, facts: Mapping[str, Any]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(run.tensorboard)
        rows = "\n".join(f"    {key}: {value}" for key, value in facts.items())
        self._writer.add_text("recipe", rows)

    def log(self, figures: Mapping[str, float], *, phase: str, step: int) -> None:
        del phase
        for name, value in figures.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def summarise(self, figures: Mapping[str, float]) -> None:
        self.log(figures, phase="test", step=0)

    def close(self, *, failed: bool) -> None:
        del failed
        self._writer.close()


class _MLflow:
    def __init__(self, run: RunDir, facts: Mapping[str, Any]) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # else it reports its use over the network
        wanted = os.environ.get("MLFLOW_TRACKING_URI")
        if not wanted:
            # A database would need packages that its small distribution leaves out.
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        from mlflow import MlflowClient

        self._client = MlflowClient(tracking_uri=wanted or run.mlflow.resolve().as_uri())
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", _PROJECT)
        known = self._client.get_experiment_by_name(name)
        experiment = known.experiment_id if known else self._client.create_experiment(name)
        mark = _mark(run)
        found = self._client.search_runs([experiment], f"tags.`pcn.run` = '{mark}'", max_results=1)
        if found:
            self._run = found[0].info.run_id
            self._client.set_terminated(self._run, "RUNNING")
            return
        self._run = self._client.create_run(experiment, run_name=run.root.name, tags={"pcn.run": mark}).info.run_id
        for key, value in facts.items():
            self._client.log_param(self._run, key, str(value)[:500])

    def log(self, figures: Mapping[str, float], *, phase: str, step: int) -> None:
        del phase
        for name, value in figures.items():
            self._client.log_metric(self._run, name, value, step=step)

    def summarise(self, figures: Mapping[str, float]) -> None:
        self.log(figures, phase="test", step=0)

    def close(self, *, failed: bool) -> None:
        self._client.set_terminated(self._run, "FAILED" if failed else "FINISHED")


class _Wandb:
    def __init__(self, run: RunDir, facts: Mapping[str, Any]) -> None:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # else it looks its server up even when offline
        import wandb

        settings = wandb.Settings(
            mode=os.environ.get("WANDB_MODE", "offline"),
            console="off",
            disable_code=True,
            disable_git=True,
            save_code=False,
            silent=True,
            x_disable_meta=True,
            x_disable_stats=True,
        )
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", _PROJECT),
            name=run.root.name,
            id=_mark(run)[-12:],
            resume="allow" if settings.mode == "online" else None,
            dir=str(run.root),
            config=dict(facts),
            settings=settings,
        )
        for phase in ("probe", "tune"):  # each counts its own epochs, and wandb's own steps never go back
            self._run.define_metric(f"{phase}/*", step_metric=f"{phase}/epoch")

    def log(self, figures: Mapping[str, float], *, phase: str, step: int) -> None:
        self._run.log({**figures, f"{phase}/epoch": step})

    def summarise(self, figures: Mapping[str, float]) -> None:
        self._run.summary.update(dict(figures))

    def close(self, *, failed: bool) -> None:
        self._run.finish(exit_code=int(failed))


class _Trackio:
    def __init__(self, run: RunDir, facts: Mapping[str, Any]) -> None:
        # It is read once, at the import: a second run of the same process is told to the place of the first.
        os.environ.setdefault("TRACKIO_DIR", str(run.trackio.resolve()))
        import trackio

        sent = any(os.environ.get(name) for name in ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL"))
        with redirect_stdout(StringIO()), nullcontext() if sent else _asking_no_hub():  # it says where it writes
            self._run = trackio.init(
                _PROJECT,
                name=f"{run.root.name}-{_mark(run)[:6]}",
                config=dict(facts),
                resume="allow",
                embed=False,
                auto_log_cpu=False,
                auto_log_gpu=False,
            )
        self._finish = trackio.finish  # not the run's own, after which trackio says at the end that it finishes

    def log(self, figures: Mapping[str, float], *, phase: str, step: int) -> None:
        del phase
        self._run.log(dict(figures), step=step)

    def summarise(self, figures: Mapping[str, float]) -> None:
        self.log(figures, phase="test", step=0)

    def close(self, *, failed: bool) -> None:
        del failed
        with redirect_stdout(StringIO()):
            self._finish()


@contextmanager
def _asking_no_hub() -> Iterator[None]:
    """A context in which huggingface_hub sends nothing: trackio asks it who the owner of a token that it finds is."""
    from huggingface_hub import constants

    before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


_LOGS: dict[Logger, Callable[[RunDir, Mapping[str, Any]], FigureLog]] = {
    "tensorboard": _TensorBoard,
    "mlflow": _MLflow,
    "wandb": _Wandb,
    "trackio": _Trackio,
}


def _mark(run: RunDir) -> str:
    """What tells this run from others of its name, the same after a stop; it says nothing of where it lies."""
    return hashlib.sha256(f"{run.root.name} {read_record(run).created}".encode()).hexdigest()[:16]
