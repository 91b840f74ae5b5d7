"""Loggers hear the figures of history.csv, as their own readers tell; nothing is imported or sent unless asked for."""

import ast
import csv
import json
import re
import struct
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pcn_cli.errors import ResourceError, StoppedError
from pcn_cli.records.metrics import Metric
from pcn_cli.records.run import EpochRow
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.store import HISTORY, read_recipe
from pcn_cli.stages import loggers
from pcn_cli.stages.finetune import finetune
from pcn_cli.stages.loggers import name_figures, open_logger

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
)
TEST = {"accuracy": Metric(value=0.75, n=12, method="photos that are right")}


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch):
    """No setting of the machine says where figures go."""
    for name in ("MLFLOW_TRACKING_URI", "WANDB_MODE", "WANDB_PROJECT", "MLFLOW_EXPERIMENT_NAME", "TRACKIO_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunDir, list[tuple[EpochRow, int]]]:
    """A run that told TensorBoard, and what `on_epoch` heard."""
    pytest.importorskip("tensorboard")
    root, rng = tmp_path_factory.mktemp("logged"), np.random.default_rng(0)
    for channel, label in enumerate(("blue", "green", "red")):
        (root / "photos" / label).mkdir(parents=True)
        for number in range(12):
            pixels = rng.integers(0, 120, (40, 48, 3), dtype=np.uint8)
            pixels[..., 2 - channel] += 100
            Image.fromarray(pixels).save(root / "photos" / label / f"{number:02}.png")
    heard: list[tuple[EpochRow, int]] = []
    outcome = finetune(
        root / "photos",
        output=root / "run",
        model="nano",
        tune="all",
        epochs=2,
        size=32,
        log="tensorboard",
        device="cpu",
        settings=["explain.checks=0", "train.workers=0"],
        on_epoch=lambda row, epochs: heard.append((row, epochs)),
    )
    return RunDir(outcome.run), heard


def expected(rows: list[EpochRow]) -> dict[str, dict[int, float]]:
    """The figures of a history by name and epoch."""
    found: dict[str, dict[int, float]] = {}
    for row in rows:
        for name, value in name_figures(row).items():
            found.setdefault(name, {})[row.epoch] = value
    return found


def test_tensorboards_reader_finds_the_figures_of_history(trained):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run, heard = trained
    rows = HISTORY.read(run)
    assert len([row for row in rows if row.phase == "tune"]) == 2
    assert tuple(row for row, _ in heard) == rows
    reader = EventAccumulator(str(run.tensorboard))
    reader.Reload()
    scalars = {
        name: {one.step: one.value for one in reader.Scalars(name)}
        for name in reader.Tags()["scalars"]
        if not name.startswith("test/")
    }
    wanted = expected(rows)
    assert scalars.keys() == wanted.keys()
    assert {"tune/val_loss", "tune/val_accuracy", "tune/lr"} <= wanted.keys()
    for name, values in wanted.items():
        assert scalars[name] == pytest.approx(values, rel=1e-6)  # TensorBoard keeps single precision
    with run.history.open() as file:
        shown = [float(row["val_loss"]) for row in csv.DictReader(file) if row["phase"] == "tune"]
    assert list(scalars["tune/val_loss"].values()) == pytest.approx(shown, rel=1e-6)
    accuracy = json.loads(run.metrics.read_text())["accuracy"]["value"]
    assert reader.Scalars("test/accuracy")[0].value == pytest.approx(accuracy)
    assert str(run.root.parent) not in "".join(
        path.read_bytes().decode("latin-1") for path in run.tensorboard.iterdir()
    )


def tell(name: str, run: RunDir, rows: list[EpochRow]) -> None:
    with open_logger(name, run, read_recipe(run), on_note=pytest.fail) as log:
        for row in rows:
            log.on_epoch(row, len(rows))
        log.on_end(TEST)


def test_mlflow_finds_the_figures_of_history_and_a_stopped_run_goes_on(trained):
    pytest.importorskip("mlflow")
    run, _ = trained
    rows = HISTORY.read(run)

    def stop_after_one() -> None:
        with open_logger("mlflow", run, read_recipe(run), on_note=pytest.fail) as log:
            log.on_epoch(rows[0], 2)
            raise StoppedError("stopped")

    with pytest.raises(StoppedError):
        stop_after_one()
    tell("mlflow", run, rows[1:])
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=run.mlflow.resolve().as_uri())
    (experiment,) = [one for one in client.search_experiments() if one.name == "pcn"]
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.info.status == "FINISHED"
    for name, values in expected(rows).items():
        history = client.get_metric_history(found.info.run_id, name)
        assert {one.step: one.value for one in history} == values
    assert found.data.metrics["test/accuracy"] == 0.75
    assert found.data.params["model.name"] == "nano"
    assert str(run.root.parent) not in str(found.data.params)


def read_wandb(path: Path) -> list:
    """The records of an offline run: LevelDB's log format, behind a head of 7 bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, place, records, parts = path.read_bytes(), 7, [], b""
    while place + 7 <= len(content):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        _, size, kind = struct.unpack("<IHB", content[place : place + 7])
        parts += content[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):  # whole, or the last part
            record = Record()
            record.ParseFromString(parts)
            records.append(record)
            parts = b""
    return records


def test_wandb_keeps_the_figures_of_history_offline(trained):
    pytest.importorskip("wandb")
    run, _ = trained
    rows = HISTORY.read(run)
    tell("wandb", run, rows)
    (file,) = run.wandb.glob("offline-run-*/*.wandb")
    found: dict[str, dict[int, float]] = {}
    told = ""
    for record in read_wandb(file):
        told += str(record.run) + str(record.files)
        items = {item.key or "/".join(item.nested_key): item.value_json for item in record.history.item}
        for phase in ("probe", "tune"):
            if f"{phase}/epoch" in items:
                epoch = int(items.pop(f"{phase}/epoch"))
                for name, value in items.items():
                    if name.startswith(phase):
                        found.setdefault(name, {})[epoch] = float(value)
    assert found == expected(rows)
    assert str(run.root.parent) not in told
    assert "nano" in told


def test_trackio_keeps_the_figures_of_history_and_asks_nobody_whose_token_it_is(trained, monkeypatch, capsys):
    if find_spec("trackio") is None:  # once imported it has chosen where to write
        pytest.skip("trackio is not installed")
    run, _ = trained
    rows, asked = HISTORY.read(run), []
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setattr("socket.getaddrinfo", lambda *words, **_: asked.append(words[0]) or [])
    tell("trackio", run, rows[:1])
    tell("trackio", run, rows[1:])  # a stopped run goes on in the same one
    assert not asked
    assert not capsys.readouterr().out
    from trackio.sqlite_storage import SQLiteStorage

    assert SQLiteStorage.get_project_db_path("pcn").parent == run.trackio
    (name,) = SQLiteStorage.get_runs("pcn")
    found: dict[str, dict[int, float]] = {}
    for one in SQLiteStorage.get_logs("pcn", name):
        for key in one.keys() - {"step", "timestamp"}:
            found.setdefault(key, {})[one["step"]] = one[key]
    assert found.pop("test/accuracy") == {0: 0.75}
    assert found == expected(rows)
    told = SQLiteStorage.get_run_config("pcn", name)
    assert told["model.name"] == "nano"
    assert str(run.root.parent) not in str(told)


def test_a_package_that_is_missing_is_told_before_a_photo_is_read(monkeypatch, tmp_path, photo_folder):
    found = loggers.importlib.util.find_spec
    monkeypatch.setattr(loggers.importlib.util, "find_spec", lambda name: None if name == "wandb" else found(name))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ResourceError, match="--log wandb needs the package wandb") as refused:
        finetune(photo_folder, model="nano", log="wandb")
    assert refused.value.hint == "pip install 'pcn-cli[wandb]'"
    assert not (tmp_path / "runs").exists()


def test_a_log_that_fails_does_not_end_the_run(trained, monkeypatch):
    run, _ = trained

    class Failing:
        def log(self, figures, *, phase, step):
            raise ConnectionError("the server is gone")

        def close(self, *, failed):
            raise AssertionError("it failed already")

    monkeypatch.setitem(loggers._LOGS, "tensorboard", lambda *_: Failing())
    notes: list[str] = []
    with open_logger("tensorboard", run, read_recipe(run), on_note=notes.append) as log:
        for row in HISTORY.read(run):
            log.on_epoch(row, 2)
    assert notes == ["the log takes no more figures, and the run goes on without it: the server is gone"]

    def refuse(*_):
        raise OSError("no room")

    monkeypatch.setitem(loggers._LOGS, "tensorboard", refuse)
    with (
        pytest.raises(ResourceError, match="--log tensorboard cannot begin: no room"),
        open_logger("tensorboard", run, read_recipe(run), on_note=pytest.fail),
    ):
        pass


def test_nothing_is_imported_unless_asked_for():
    """By pcn: timm itself imports wandb where it is installed."""
    named = set()
    for file in Path(loggers.__file__).parents[1].rglob("*.py"):
        for node in ast.parse(file.read_text()).body:
            modules = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            named |= {*modules, node.module or ""} if isinstance(node, ast.ImportFrom) else set(modules)
    assert "pcn_cli.stages.loggers" in named
    packages = r"(tensorboard|mlflow|wandb|trackio|torch\.utils\.tensorboard)\b"
    assert not {name for name in named if re.match(packages, name)}
