"""The run folder: the only builder of its file names."""

import re
from dataclasses import dataclass
from pathlib import Path

from pcn_cli.errors import RunError
from pcn_cli.files.atomic import write_text

RUNS = Path("runs")


@dataclass(frozen=True)
class RunDir:
    """One run's folder, with a name for each artifact."""

    root: Path

    @property
    def record(self) -> Path:
        """run.json: status, versions, device, command, and the hash of every artifact."""
        return self.root / "run.json"

    @property
    def recipe(self) -> Path:
        """The recipe as resolved, with the reason for every automatic choice."""
        return self.root / "recipe.yaml"

    @property
    def scan(self) -> Path:
        """What the scan found."""
        return self.root / "scan.json"

    @property
    def unreadable(self) -> Path:
        """The files that should be photos and are not."""
        return self.root / "unreadable.csv"

    @property
    def split(self) -> Path:
        """Which photo belongs to which part, with content hashes."""
        return self.root / "split.csv"

    @property
    def history(self) -> Path:
        """A row per epoch."""
        return self.root / "history.csv"

    @property
    def candidates(self) -> Path:
        """The models that were compared, and which was kept."""
        return self.root / "candidates.json"

    @property
    def suspects(self) -> Path:
        """The photos whose label may be wrong, the most suspect first."""
        return self.root / "suspects.csv"

    @property
    def neighbours(self) -> Path:
        """Photos of two parts that the network finds as good as the same."""
        return self.root / "neighbours.csv"

    @property
    def folds(self) -> Path:
        """What cross-validation answered to every photo."""
        return self.root / "folds.csv"

    @property
    def checkpoints(self) -> Path:
        """Where training saves itself; gone once the run is finished, unless they are to be kept."""
        return self.root / "checkpoints"

    @property
    def probe(self) -> Path:
        """The weights of the probe, until the run is finished."""
        return self.root / "checkpoints" / "probe.safetensors"

    @property
    def taught(self) -> Path:
        """The teacher's answers to the training photos, until the run is finished."""
        return self.root / "checkpoints" / "taught.safetensors"

    @property
    def model(self) -> Path:
        """The model: config.json and model.safetensors, usable without the rest of the run."""
        return self.root / "model"

    @property
    def model_config(self) -> Path:
        """What the model says of itself."""
        return self.root / "model" / "config.json"

    @property
    def model_card(self) -> Path:
        """What a person should know of the model before using it, in the form that the Hugging Face Hub shows."""
        return self.root / "model" / "README.md"

    @property
    def predictions(self) -> Path:
        """A row per photo of the test part."""
        return self.root / "predictions.csv"

    @property
    def predictions_jsonl(self) -> Path:
        """The same, a JSON object per line."""
        return self.root / "predictions.jsonl"

    @property
    def per_class(self) -> Path:
        """Precision, recall and F1 of every class."""
        return self.root / "per_class.csv"

    @property
    def confusion(self) -> Path:
        """Photos by label and predicted class."""
        return self.root / "confusion.csv"

    @property
    def metrics(self) -> Path:
        """The numbers of the test part with their intervals."""
        return self.root / "metrics.json"

    @property
    def curves(self) -> Path:
        """The curves behind the numbers, and what calibration gave."""
        return self.root / "curves.json"

    @property
    def findings(self) -> Path:
        """What a person should know."""
        return self.root / "findings.json"

    @property
    def figures(self) -> Path:
        """Charts as PNG and SVG."""
        return self.root / "figures"

    @property
    def attention(self) -> Path:
        """The pooling maps as numbers."""
        return self.root / "attention.npz"

    @property
    def trust(self) -> Path:
        """What was checked of the maps."""
        return self.root / "trust.json"

    @property
    def overlays(self) -> Path:
        """The maps drawn on the photos."""
        return self.root / "overlays"

    @property
    def report(self) -> Path:
        """The folder of the report, which opens at index.html."""
        return self.root / "report"

    @property
    def report_file(self) -> Path:
        """The report as one file, where that was asked for."""
        return self.root / "report.html"

    @property
    def log(self) -> Path:
        """What happened, for the case that it went wrong."""
        return self.root / "run.log"

    @classmethod
    def contents(cls) -> tuple[str, ...]:
        """What a finished run holds, folders with a slash behind them."""
        here = cls(Path())
        folders = (here.model, here.report, here.figures, here.overlays)
        files = (
            here.metrics,
            here.curves,
            here.predictions,
            here.predictions_jsonl,
            here.per_class,
            here.confusion,
            here.candidates,
            here.findings,
            here.suspects,
            here.neighbours,
            here.attention,
            here.trust,
            here.history,
            here.scan,
            here.split,
            here.unreadable,
            here.recipe,
            here.record,
            here.log,
        )
        return (*(f"{folder}/" for folder in folders), *map(str, files))


def new_run_dir(photos: str, model: str, *, runs: Path = RUNS) -> RunDir:
    """The folder `runs/<photos>-<model>-<n>` with the first free number; it is not made yet.

    Args:
        photos: the photos folder, of which the last part counts.
        model: a card, `timm:NAME` or a path, of which the last part counts.
        runs: the folder of all runs.
    """
    stem = f"{slug(Path(photos).resolve().name)}-{slug(Path(model.removeprefix('timm:')).name)}"
    taken = {path.name for path in runs.iterdir()} if runs.is_dir() else set()
    number = next(n for n in range(1, len(taken) + 2) if f"{stem}-{n}" not in taken)
    return RunDir(runs / f"{stem}-{number}")


def slug(name: str) -> str:
    """A short file name made from `name`: letters, digits, dots and dashes."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-._")[:40] or "photos"


def open_run(path: Path | None, *, runs: Path = RUNS) -> RunDir:
    """The run at `path`, or the newest finished one.

    Raises:
        RunError: there is no such run.
    """
    if path is not None:
        if not (path / "run.json").is_file():
            raise RunError(f"{path} is not a run folder: it has no run.json", "list the runs with `pcn runs`")
        return RunDir(path)
    latest = runs / "latest"
    if not latest.is_file():
        raise RunError("there is no finished run yet", "make one with `pcn finetune PHOTOS`")
    return open_run(runs / latest.read_text(encoding="utf-8").strip(), runs=runs)


def set_latest(run: RunDir, *, runs: Path = RUNS) -> None:
    """Make `run` the one that commands without a RUN use; a run kept elsewhere is named by its absolute path."""
    inside = run.root.resolve().parent == runs.resolve()
    write_text(runs / "latest", f"{run.root.name if inside else run.root.resolve()}\n")


def list_runs(runs: Path = RUNS) -> list[RunDir]:
    """All run folders by name, their numbers in order."""
    return sorted((RunDir(record.parent) for record in runs.glob("*/run.json")), key=_name_and_number)


def _name_and_number(run: RunDir) -> tuple[str, int]:
    name, _, number = run.root.name.rpartition("-")
    return (name, int(number)) if number.isdecimal() else (run.root.name, 0)
