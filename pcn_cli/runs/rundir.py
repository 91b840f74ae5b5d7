"""The run folder: the only builder of its file names; what pages of the report read for themselves names its file."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from pcn_cli.errors import RunError
from pcn_cli.files.atomic import write_text
from pcn_cli.files.names import safe_name
from pcn_cli.records.change import Change
from pcn_cli.records.decisions import Decision
from pcn_cli.records.desk import Desk
from pcn_cli.records.evaluation import LearningCurve, Trust
from pcn_cli.records.metrics import Trunks
from pcn_cli.records.predictions import Alike, PhotoPlace, Suspect
from pcn_cli.records.run import EpochRow
from pcn_cli.records.shift import Shift
from pcn_cli.records.slices import Slices

RUNS = Path("runs")
LATEST = "latest"  # the file in it that names the run which is meant where none is named


class Artifact:
    """A file or folder of every run: of one run its path, of the class RunDir the artifact itself."""

    def __init__(self, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, run: None, owner: type) -> "Artifact": ...
    @overload
    def __get__(self, run: "RunDir", owner: type) -> Path: ...
    def __get__(self, run: "RunDir | None", owner: type) -> "Artifact | Path":
        return self if run is None else self.of(run)

    def of(self, run: "RunDir") -> Path:
        """Where it lies in `run`."""
        return run.root / self.name


@dataclass(frozen=True)
class RunDir:
    """One run's folder, with a name for each artifact."""

    root: Path

    record = Artifact("run.json")  # status, versions, device, command, and the hash of every artifact
    recipe = Artifact("recipe.yaml")  # as resolved, with the reason for every automatic choice
    log = Artifact("run.log")  # what happened, for the case that it went wrong

    scan = Artifact("scan.json")  # what the scan found
    unreadable = Artifact("unreadable.csv")  # the files that should be photos and are not
    desk = Artifact(Desk.ARTIFACT)  # unlabelled photos to decide about, where a queue of them was asked for
    queue = Artifact("queue.csv")  # the same as a table
    label_studio = Artifact("label-studio.json")  # the same for Label Studio
    label_studio_view = Artifact("label-studio.xml")  # and how it asks
    decisions = Artifact(Decision.ARTIFACT)  # what a person decided about photos, in this run and those it began with
    crops = Artifact("crops")  # the boxes cut out of the photos, where that was asked for
    split = Artifact("split.csv")  # which photo belongs to which part, with content hashes

    history = Artifact(EpochRow.ARTIFACT)  # a row per epoch
    tensorboard = Artifact("tensorboard")  # what `--log` told each of the loggers
    mlflow = Artifact("mlflow")
    wandb = Artifact("wandb")
    trackio = Artifact("trackio")
    trunks = Artifact(Trunks.ARTIFACT)  # the models that were named to start from, where these are several
    candidates = Artifact("candidates.json")  # the models that were compared, and which was kept
    suspects = Artifact(Suspect.ARTIFACT)  # photos whose label may be wrong, the most suspect first
    features = Artifact("features.npz")  # what the frozen trunk makes of each photo, with content hashes
    neighbours = Artifact("neighbours.csv")  # photos of two parts that the network finds as good as the same
    validation = Artifact("validation.csv")  # what was answered to the validation photos, to calibrate by
    folds = Artifact("folds.csv")  # what cross-validation answered to every photo
    learning_curve = Artifact(LearningCurve.ARTIFACT)  # what shares of the training photos teach
    model = Artifact("model")  # config.json and model.safetensors, usable without the rest of the run
    model_config = Artifact("model/config.json")  # what the model says of itself
    model_card = Artifact("model/README.md")  # what to know before using it, as the Hugging Face Hub shows it

    # Where training saves itself: gone once the run is finished, unless they are to be kept.
    checkpoints = Artifact("checkpoints")
    probe = Artifact("checkpoints/probe.safetensors")  # the weights of the probe
    start = Artifact("checkpoints/start.safetensors")  # what tuning begins with, which saw no validation photo
    final_checkpoints = Artifact("checkpoints/final")  # of the epochs after the choice

    predictions = Artifact("predictions.csv")  # a row per photo of the test part
    predictions_jsonl = Artifact("predictions.jsonl")  # a JSON object per line for each of them
    per_class = Artifact("per_class.csv")  # precision, recall and F1 of every class
    confusion = Artifact("confusion.csv")  # photos by label and predicted class
    metrics = Artifact("metrics.json")  # the numbers of the test part with their intervals
    curves = Artifact("curves.json")  # the curves behind the numbers, and what calibration gave
    shift = Artifact(Shift.ARTIFACT)  # whether new photos are like those that the run was measured on
    change = Artifact(Change.ARTIFACT)  # what differs from the run that it began with
    slices = Artifact(Slices.ARTIFACT)  # folders, sizes and the like, and whether such photos are answered worse
    findings = Artifact("findings.json")  # what a person should know
    attention = Artifact("attention.npz")  # the maps as numbers
    alike = Artifact(Alike.ARTIFACT)  # the training photos most alike to each test photo, by class
    places = Artifact(PhotoPlace.ARTIFACT)  # where each photo lies on the map
    trust = Artifact(Trust.ARTIFACT)  # what was checked of the maps
    figures = Artifact("figures")  # charts as PNG and SVG
    overlays = Artifact("overlays")  # the maps drawn on the photos
    report = Artifact("report")  # opens at index.html
    export = Artifact("export")  # the model for other runtimes, where that was asked for
    report_file = Artifact("report.html")  # the report as one file, where that was asked for

    @classmethod
    def contents(cls) -> tuple[str, ...]:
        """What a finished run holds, folders with a slash behind them."""
        folders = (cls.model, cls.report, cls.figures, cls.overlays)
        numbers = (cls.metrics, cls.curves, cls.predictions, cls.predictions_jsonl, cls.per_class, cls.confusion)
        training = (
            cls.candidates,
            cls.validation,
            cls.findings,
            cls.slices,
            cls.suspects,
            cls.features,
            cls.neighbours,
            cls.attention,
            cls.alike,
            cls.places,
            cls.trust,
        )
        files = (*numbers, *training, cls.scan, cls.split, cls.unreadable, cls.recipe, cls.record, cls.log)
        return (*(f"{folder.name}/" for folder in folders), *(file.name for file in files))

    def overlay(self, index: int, file: str) -> Path:
        """The overlay of the photo in row `index` (from 0) of predictions.csv."""
        return self.overlays / f"{index:05}-{safe_name(Path(file).stem)}.png"


def new_run_dir(photos: str | Path, model: str, *, output: str | Path | None = None, runs: Path = RUNS) -> RunDir:
    """The folder `output`, or `runs/<photos>-<model>-<n>` with the first free number; it is not made yet.

    Of `photos`, a folder, and of `model`, a card, `timm:NAME` or a path, the last part counts.
    """
    if output:
        return RunDir(Path(output))
    stem = f"{slug(Path(photos).resolve().name)}-{slug(Path(model.removeprefix('timm:')).name)}"
    taken = {path.name for path in runs.iterdir()} if runs.is_dir() else set()
    number = next(n for n in range(1, len(taken) + 2) if f"{stem}-{n}" not in taken)
    return RunDir(runs / f"{stem}-{number}")


def slug(name: str) -> str:
    """A short file name made from `name`: letters, digits, dots and dashes."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-._")[:40] or "photos"


def open_run(path: str | Path | None, *, runs: Path = RUNS) -> RunDir:
    """The run at `path`, or the newest finished one.

    Raises:
        RunError: there is no such run.
    """
    if path is None:
        latest = runs / LATEST
        if not latest.is_file():
            raise RunError("there is no finished run yet", "make one with `pcn finetune PHOTOS`")
        try:
            path = runs / latest.read_text(encoding="utf-8").strip()
            path.is_dir()  # a name that no disk can have is an OSError
        except (OSError, ValueError) as error:
            raise RunError(f"{latest} is damaged: {error}", "name a run; list them with `pcn runs`") from error
    run = RunDir(Path(path))
    if not run.record.is_file():
        raise RunError(f"{run.root} is not a run folder: it has no run.json", "list the runs with `pcn runs`")
    return run


def find_maker(model: str | Path) -> RunDir | None:
    """The run that made a model: the folder itself, or the one that the model folder lies in."""
    path = Path(model)
    roots = (path, path.parent) if path.name == RunDir.model.name else (path,)
    return next((RunDir(root) for root in roots if RunDir(root).record.is_file()), None)


def set_latest(run: RunDir, *, runs: Path = RUNS) -> None:
    """Make `run` the one that commands without a RUN use; a run kept elsewhere is named by its absolute path."""
    inside = run.root.resolve().parent == runs.resolve()
    write_text(runs / LATEST, f"{run.root.name if inside else run.root.resolve()}\n")


def list_runs(runs: Path = RUNS) -> list[RunDir]:
    """All run folders by name, their numbers in order."""
    return sorted((RunDir(record.parent) for record in runs.glob("*/run.json")), key=_name_and_number)


def _name_and_number(run: RunDir) -> tuple[str, int]:
    name, _, number = run.root.name.rpartition("-")
    return (name, int(number)) if number.isdecimal() else (run.root.name, 0)
